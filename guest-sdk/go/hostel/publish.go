package hostel

import (
	"encoding/json"
	"fmt"
	"time"

	"hostel.dev/go/internal/host"
)

// Message is what is published: headers and a body of any bytes.
type Message struct {
	// ID gives the new event its id, by the header Hostel-Id; without it the host makes one.
	//
	// Make it from the id of the event being handled, and what a retry publishes again has the same id as before:
	// whoever hears it can tell. A host whose broker remembers ids makes one event of the two; the memory broker does
	// not.
	ID      string
	Headers []Header
	Body    []byte
}

// PublishKind is a kind of [PublishError].
type PublishKind string

// The kinds of [PublishError]. What will be refused again however often it is tried rejects the event that is being
// handled, so that it is seen at once and can be redriven when it is cured; what may pass is a retry.
const (
	// Denied is that the handler may not publish on the topic; the reason names the line of the manifest that would
	// allow it. Rejects.
	Denied PublishKind = "denied"
	// Invalid is that the topic or a header is malformed. Rejects.
	Invalid PublishKind = "invalid"
	// TooLarge is that the message is larger than Limit. Rejects.
	TooLarge PublishKind = "too large"
	// Overloaded is that a queue is full. A retry after RetryAfter.
	Overloaded PublishKind = "overloaded"
	// Failed is that the broker failed. A retry.
	Failed PublishKind = "failed"
)

// PublishError is why a message was not published. Nothing of it was kept.
type PublishError struct {
	Kind PublishKind
	// Reason is the host's, of the kinds Denied, Invalid and Failed.
	Reason string
	// Limit is the most bytes that a message may have, of the kind TooLarge.
	Limit uint64
	// RetryAfter is of the kind Overloaded.
	RetryAfter time.Duration
}

// Publish publishes a message on a topic of the handler's own tenant and returns the new event's id, or a
// [PublishError].
//
// The manifest must allow the topic. With a broker of atomic effects the event exists once the delivery is acknowledged
// and never if it is not; with any other it exists when the call returns.
func Publish(topic string, message Message) (string, error) {
	headers := make([][2]string, 0, len(message.Headers)+1)
	for _, header := range message.Headers {
		headers = append(headers, [2]string{header.Name, header.Value})
	}
	if message.ID != "" {
		headers = append(headers, [2]string{"Hostel-Id", message.ID})
	}
	id, failure := host.Publish(topic, headers, message.Body)
	if failure != nil {
		return "", publishError(failure)
	}
	return id, nil
}

// PublishJSON publishes a value as JSON, with the header Content-Type: application/json.
//
// A value that encoding/json cannot write is a rejection.
func PublishJSON(topic string, value any) (string, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return "", Reject(fmt.Errorf("the value cannot be written as JSON: %w", err))
	}
	return Publish(topic, Message{Headers: []Header{{"Content-Type", "application/json"}}, Body: body})
}

func (e *PublishError) Error() string {
	switch e.Kind {
	case Denied:
		return "publishing was denied: " + e.Reason
	case Invalid:
		return "the message was refused: " + e.Reason
	case TooLarge:
		return fmt.Sprintf("the message is larger than the %d bytes that the host takes", e.Limit)
	case Overloaded:
		return fmt.Sprintf("the host is overloaded; try again in %d ms", millis(e.RetryAfter))
	default:
		return "the broker failed: " + e.Reason
	}
}

func (e *PublishError) advice() advice {
	switch e.Kind {
	case Denied, Invalid, TooLarge:
		return advice{reject: true}
	case Overloaded:
		return advice{timed: true, after: e.RetryAfter}
	default:
		return advice{}
	}
}

func publishError(failure *host.Failure) *PublishError {
	switch failure.Case {
	case host.Denied:
		return &PublishError{Kind: Denied, Reason: failure.Text}
	case host.Invalid:
		return &PublishError{Kind: Invalid, Reason: failure.Text}
	case host.TooLarge:
		return &PublishError{Kind: TooLarge, Limit: failure.Number}
	case host.Overloaded:
		return &PublishError{Kind: Overloaded, RetryAfter: duration(failure.Number)}
	default:
		return &PublishError{Kind: Failed, Reason: failure.Text}
	}
}
