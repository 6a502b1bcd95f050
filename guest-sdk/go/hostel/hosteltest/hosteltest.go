//go:build !wasip1

// Package hosteltest is a test double of the host: it runs a handler natively, in a plain go test, and tells what it
// did.
//
//	run := hosteltest.Run(handle, hosteltest.Event{Topic: "orders.created", Body: []byte(`{"number": 7}`)})
//	if run.Err != nil || run.Published[0].Topic != "orders.packed" {
//		t.Errorf("%+v", run)
//	}
//
// The double refuses a malformed topic or header as the host does, and takes every topic unless told otherwise: what
// the manifest allows is known to the host alone. Deadlines and memory limits hold in the host only. A panic passes
// through, as in any test. Runs of parallel tests wait for each other.
package hosteltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"hostel.dev/go/hostel"
	"hostel.dev/go/internal/host"
)

// Event is an event to be delivered.
type Event struct {
	// ID is 00000000-0000-7000-8000-000000000001 if it is empty.
	ID    string
	Topic string
	// Attempt is 1 if it is 0.
	Attempt int
	// PublishedAt is the Unix epoch if it is zero.
	PublishedAt time.Time
	Headers     []hostel.Header
	Body        []byte
	// LastError is why the last attempt failed, if it is not empty.
	LastError string
}

// Host is a host with rules of its own. The zero value is one without config and buckets that takes every topic.
type Host struct {
	Config map[string]string
	// Deny lists topics on which the handler may not publish.
	Deny []string
	// Refuse has the errors with which publishing fails, by topic.
	Refuse map[string]*hostel.PublishError
	// Buckets are those that can be opened, with their values. Handlers change them, and the next run sees it.
	Buckets map[string]map[string][]byte
	// Answers are to HTTP requests, by URL. A request to any other is denied.
	Answers map[string]hostel.Response
}

// Result is what a handler did with an event.
type Result struct {
	// Err is what it returned. hostel.IsReject and hostel.RetryAfter tell what becomes of the event.
	Err error
	// Published is what it published, in order. A host with atomic effects keeps it only if the event was acknowledged.
	Published []Published
	// Logs is what it logged by log/slog, package log or hostel.Log, in order.
	Logs []Line
	// Requests is what it asked other servers, in order, also what was denied.
	Requests []hostel.Request
	// Acked says whether it acknowledged the event before it returned.
	Acked bool
	// Extended has the times to which it moved its deadline.
	Extended []time.Duration
}

// Published is an event that a handler published.
type Published struct {
	// ID is the one that the handler gave, or published-1, published-2 and so on.
	ID      string
	Topic   string
	Headers []hostel.Header
	Body    []byte
}

// Line is a line that a handler logged: the message, and after it the attributes.
type Line struct {
	Level slog.Level
	// Context is the function that logged.
	Context string
	Text    string
}

// Run runs a handler for one event, against a host without config that takes every topic.
func Run(handler func(*hostel.Event) error, event Event) Result { return new(Host).Run(handler, event) }

// JSON is a value as JSON, for a body. It panics if the value cannot be written so.
func JSON(value any) []byte {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("the body cannot be written as JSON: %v", err))
	}
	return body
}

// Run runs a handler for one event.
func (h *Host) Run(handler func(*hostel.Event) error, event Event) Result {
	return h.attach(func() error { return hostel.Deliver(host.Lend(lending(event)), handler) })
}

// Init runs what lifecycle.Init is given.
func (h *Host) Init(prepare func() error) Result { return h.attach(prepare) }

// Header is the value of the first header of this name, whatever its case, and "" if there is none.
func (p Published) Header(name string) string {
	value, _ := host.FindHeader(pairs(p.Headers), name)
	return value
}

func (h *Host) attach(work func() error) Result {
	double := host.Double{Settings: h.Config, Refusals: h.refusals(), Stores: h.Buckets, Answers: h.answers()}
	var result Result
	host.Attach(&double, func() {
		defer logTo(hostel.Log())()
		result.Err = work()
	})
	for _, one := range double.Published {
		published := Published{ID: one.ID, Topic: one.Topic, Body: one.Body}
		published.Headers = headers(one.Headers)
		result.Published = append(result.Published, published)
	}
	for _, line := range double.Lines {
		level := hostel.LevelTrace + 4*slog.Level(line.Level)
		result.Logs = append(result.Logs, Line{Level: level, Context: line.Context, Text: line.Text})
	}
	for _, one := range double.Requests {
		request := hostel.Request{Method: one.Method, URL: one.URL, Headers: headers(one.Headers), Body: one.Body}
		result.Requests = append(result.Requests, request)
	}
	for _, ms := range double.Extended {
		result.Extended = append(result.Extended, time.Duration(ms)*time.Millisecond)
	}
	result.Acked = double.Acked
	return result
}

// logTo makes a logger the default, as it is in a component, and returns what brings the old one back.
func logTo(logger *slog.Logger) (restore func()) {
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(logger)
	return func() {
		slog.SetDefault(before)
		// SetDefault has turned package log to slog, and does not turn it back.
		log.SetOutput(writer)
		log.SetFlags(flags)
	}
}

func (h *Host) refusals() map[string]*host.Failure {
	refusals := make(map[string]*host.Failure)
	for _, topic := range h.Deny {
		text := fmt.Sprintf("add %q to `publish` in the handler's manifest", topic)
		refusals[topic] = &host.Failure{Case: host.Denied, Text: text}
	}
	for topic, err := range h.Refuse {
		refusals[topic] = refusal(err)
	}
	return refusals
}

func (h *Host) answers() map[string]host.Response {
	answers := make(map[string]host.Response)
	for url, answer := range h.Answers {
		answers[url] = host.Response{Status: answer.Status, Headers: pairs(answer.Headers), Body: answer.Body}
	}
	return answers
}

func refusal(err *hostel.PublishError) *host.Failure {
	switch err.Kind {
	case hostel.Denied:
		return &host.Failure{Case: host.Denied, Text: err.Reason}
	case hostel.Invalid:
		return &host.Failure{Case: host.Invalid, Text: err.Reason}
	case hostel.TooLarge:
		return &host.Failure{Case: host.TooLarge, Number: err.Limit}
	case hostel.Overloaded:
		return &host.Failure{Case: host.Overloaded, Number: uint64(err.RetryAfter / time.Millisecond)}
	case hostel.Failed:
		return &host.Failure{Case: host.PublishFailed, Text: err.Reason}
	}
	panic(errors.New("a refusal needs one of the kinds of hostel.PublishError"))
}

func lending(event Event) *host.Lending {
	lending := host.Lending{ID: event.ID, Topic: event.Topic, Attempt: uint32(max(event.Attempt, 1)), Body: event.Body}
	if lending.ID == "" {
		lending.ID = "00000000-0000-7000-8000-000000000001"
	}
	if !event.PublishedAt.IsZero() {
		lending.PublishedAtMs = uint64(max(event.PublishedAt.UnixMilli(), 0))
	}
	lending.Headers = pairs(event.Headers)
	if event.LastError != "" {
		lending.LastError = &event.LastError
	}
	return &lending
}

func pairs(headers []hostel.Header) [][2]string {
	pairs := make([][2]string, len(headers))
	for index, header := range headers {
		pairs[index] = [2]string{header.Name, header.Value}
	}
	return pairs
}

func headers(pairs [][2]string) []hostel.Header {
	var headers []hostel.Header
	for _, pair := range pairs {
		headers = append(headers, hostel.Header{Name: pair[0], Value: pair[1]})
	}
	return headers
}
