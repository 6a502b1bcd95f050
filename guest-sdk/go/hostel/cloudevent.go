package hostel

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// CloudEvent is an event as CloudEvents 1.0 describes it. [Event.CloudEvent] reads it, [PublishCloudEvent] publishes it.
type CloudEvent struct {
	// ID identifies the event among those of its source.
	ID string
	// Source is where it happened: a URI reference.
	Source string
	// Type is what kind of thing happened.
	Type string
	// Subject is what it is about, within its source; "" if it has none.
	Subject string
	// Time is when it happened; zero if it does not say.
	Time time.Time
	// DataContentType is the media type of the data; "" if it does not say.
	DataContentType string
	// DataSchema is the schema of the data, a URI; "" if it has none.
	DataSchema string
	// Extensions are all other attributes, by names of a-z and 0-9. Values are strings, whatever their type: 5, true.
	Extensions map[string]string
	// Data are the data as bytes; empty if there are none.
	Data []byte
}

// CloudEventError is why an event is not a CloudEvent. It rejects.
type CloudEventError struct{ reason string }

func (e *CloudEventError) Error() string  { return e.reason }
func (e *CloudEventError) advice() advice { return advice{reject: true} }

// CloudEvent reads the event as a CloudEvent 1.0, or returns a [CloudEventError] when it is none.
func (e *Event) CloudEvent() (CloudEvent, error) {
	event, version := CloudEvent{Extensions: map[string]string{}}, ""
	for _, header := range e.Headers() {
		name := strings.ToLower(header.Name)
		if name == "content-type" {
			event.DataContentType = header.Value
		}
		name, ok := strings.CutPrefix(name, "ce-")
		if !ok {
			continue
		}
		value, ok := decodeAttribute(header.Value)
		if !ok {
			return CloudEvent{}, malformedAttribute(name)
		}
		switch name {
		case "specversion":
			version = value
		case "id":
			event.ID = value
		case "source":
			event.Source = value
		case "type":
			event.Type = value
		case "subject":
			event.Subject = value
		case "dataschema":
			event.DataSchema = value
		case "time":
			at, err := time.Parse(time.RFC3339Nano, value)
			if err != nil {
				return CloudEvent{}, malformedAttribute(name)
			}
			event.Time = at
		default:
			event.Extensions[name] = value
		}
	}
	switch version {
	case "1.0":
	case "":
		return CloudEvent{}, &CloudEventError{"the event is no CloudEvent: it has no header `ce-specversion`"}
	default:
		return CloudEvent{}, malformedAttribute("specversion")
	}
	if fault := event.fault(); fault != "" {
		return CloudEvent{}, &CloudEventError{fault}
	}
	event.Data = e.Body()
	return event, nil
}

// JSON decodes the data into what value points to, as [Event.JSON] does the body.
func (c *CloudEvent) JSON(value any) error {
	if err := json.Unmarshal(c.Data, value); err != nil {
		return &BodyError{fmt.Errorf("the data are not the JSON that is expected: %w", err)}
	}
	return nil
}

// SetJSON makes a value the data, as JSON, and DataContentType application/json unless there is another.
//
// A value that encoding/json cannot write is a rejection.
func (c *CloudEvent) SetJSON(value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return Reject(fmt.Errorf("the value cannot be written as JSON: %w", err))
	}
	c.Data = data
	if c.DataContentType == "" {
		c.DataContentType = "application/json"
	}
	return nil
}

// PublishCloudEvent publishes a CloudEvent, a header for each attribute, and returns the new event's id, which is not the
// CloudEvent's, or a [PublishError]: of kind [Invalid] when an attribute is missing or an extension has no good name.
func PublishCloudEvent(topic string, event CloudEvent) (string, error) {
	if fault := event.fault(); fault != "" {
		return "", &PublishError{Kind: Invalid, Reason: fault}
	}
	headers := []Header{{"ce-specversion", "1.0"}}
	add := func(name, value string) { headers = append(headers, Header{"ce-" + name, encodeAttribute(value)}) }
	add("id", event.ID)
	add("source", event.Source)
	add("type", event.Type)
	if event.Subject != "" {
		add("subject", event.Subject)
	}
	if !event.Time.IsZero() {
		add("time", event.Time.Format(time.RFC3339Nano))
	}
	if event.DataSchema != "" {
		add("dataschema", event.DataSchema)
	}
	for _, name := range slices.Sorted(maps.Keys(event.Extensions)) {
		add(name, event.Extensions[name])
	}
	if event.DataContentType != "" {
		headers = append(headers, Header{"Content-Type", event.DataContentType})
	}
	return Publish(topic, Message{Headers: headers, Body: event.Data})
}

// fault is what is wrong with the attributes, and "" if nothing is.
func (c *CloudEvent) fault() string {
	for _, required := range [][2]string{{"id", c.ID}, {"source", c.Source}, {"type", c.Type}} {
		if required[1] == "" {
			return fmt.Sprintf("attribute `%s` is missing", required[0])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Extensions)) {
		if !isExtension(name) {
			return fmt.Sprintf("an extension cannot be called `%s`; names are of a-z and 0-9", name)
		}
	}
	return ""
}

func isExtension(name string) bool {
	switch name {
	case "", "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data":
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func malformedAttribute(name string) error {
	return &CloudEventError{fmt.Sprintf("the value of attribute `%s` is malformed", name)}
}

// encodeAttribute does as the HTTP binding says, section "HTTP Header Values".
func encodeAttribute(value string) string {
	var encoded strings.Builder
	for index := range len(value) {
		if c := value[index]; c > ' ' && c < 0x7f && c != '"' && c != '%' {
			encoded.WriteByte(c)
		} else {
			fmt.Fprintf(&encoded, "%%%02X", c)
		}
	}
	return encoded.String()
}

// decodeAttribute takes a value out of its quotes if it has some, then decodes percent signs, once.
func decodeAttribute(value string) (string, bool) {
	value, err := unquoteAttribute(value)
	if err != nil {
		return "", false
	}
	decoded := make([]byte, 0, len(value))
	for index := 0; index < len(value); index++ {
		if value[index] != '%' {
			decoded = append(decoded, value[index])
			continue
		}
		if index+2 >= len(value) {
			return "", false
		}
		high, low := digit(value[index+1]), digit(value[index+2])
		if high < 0 || low < 0 {
			return "", false
		}
		decoded = append(decoded, byte(high<<4|low))
		index += 2
	}
	return string(decoded), utf8.Valid(decoded)
}

var errQuote = errors.New("not one quoted string")

func unquoteAttribute(value string) (string, error) {
	if !strings.HasPrefix(value, `"`) {
		return value, nil
	}
	var plain strings.Builder
	for index := 1; index < len(value); index++ {
		switch value[index] {
		case '"':
			if index != len(value)-1 {
				return "", errQuote
			}
			return plain.String(), nil
		case '\\':
			index++
			if index == len(value) {
				return "", errQuote
			}
		}
		plain.WriteByte(value[index])
	}
	return "", errQuote
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
