package hostel

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"hostel.dev/go/internal/host"
)

// Event is one delivery of an event. It is lent for the length of one call of the handler.
//
// What it tells comes from the host, each time it is asked; only the body is kept once it was fetched.
type Event struct {
	delivery host.Delivery
	body     []byte
	fetched  bool
}

// Header is a name and a value. Names compare without regard to ASCII case and may repeat.
type Header struct{ Name, Value string }

// BodyError is why a body could not be read as what the handler expects. It rejects: the same body will be as wrong
// the next time.
type BodyError struct{ err error }

// ID is the event's id: a UUIDv7 unless its publisher gave another. The same in every attempt.
func (e *Event) ID() string { return e.delivery.ID() }

// Topic is what it was published on.
func (e *Event) Topic() string { return e.delivery.Topic() }

// Attempt is which one this is, counted from 1.
func (e *Event) Attempt() int { return int(e.delivery.Attempt()) }

// PublishedAt is when it was published, to the millisecond.
func (e *Event) PublishedAt() time.Time { return time.UnixMilli(int64(e.delivery.PublishedAtMs())) }

// Headers are all headers, in order.
func (e *Event) Headers() []Header {
	pairs := e.delivery.Headers()
	headers := make([]Header, len(pairs))
	for index, pair := range pairs {
		headers[index] = Header{pair[0], pair[1]}
	}
	return headers
}

// Header is the value of the first header of this name, whatever its case, and "" if there is none.
func (e *Event) Header(name string) string {
	value, _ := e.LookupHeader(name)
	return value
}

// LookupHeader is the value of the first header of this name, whatever its case, and whether there is one.
func (e *Event) LookupHeader(name string) (string, bool) { return e.delivery.Header(name) }

// Body is the body. The first call copies it into the handler's memory, later calls give the same copy.
func (e *Event) Body() []byte {
	if !e.fetched {
		e.body, e.fetched = e.delivery.Body(), true
	}
	return e.body
}

// Text is the body as text, or a [BodyError] when it is not UTF-8.
func (e *Event) Text() (string, error) {
	if !utf8.Valid(e.Body()) {
		return "", &BodyError{errors.New("the body is not UTF-8 text")}
	}
	return string(e.Body()), nil
}

// JSON decodes the body into what value points to, by the rules of encoding/json, or returns a [BodyError].
//
// Fields that are missing keep their zero value, and unknown ones are left alone: check what must be there.
func (e *Event) JSON(value any) error {
	if err := json.Unmarshal(e.Body(), value); err != nil {
		return &BodyError{fmt.Errorf("the body is not the JSON that is expected: %w", err)}
	}
	return nil
}

// LastError is why the last attempt failed; "" in the first.
func (e *Event) LastError() string {
	reason, _ := e.delivery.LastError()
	return reason
}

// Ack acknowledges the event now, before the handler returns.
//
// From then on an error, a panic or a time-out of this delivery reaches the logs only, and nothing makes the event come
// again. What was published so far holds. The error is [ErrAlreadySettled] the second time, and a [SettleError] when the
// broker could not keep it.
func (e *Event) Ack() error { return settleError(e.delivery.Ack()) }

// Extend moves the deadline of this delivery to this time from now, if that is later than it was. Counted in
// milliseconds, rounded up. A [SettleError] says how much is left to ask for, if it was too long.
func (e *Event) Extend(time time.Duration) error { return settleError(e.delivery.Extend(millis(time))) }

func (e *BodyError) Error() string  { return e.err.Error() }
func (e *BodyError) Unwrap() error  { return errors.Unwrap(e.err) }
func (e *BodyError) advice() advice { return advice{reject: true} }

// ErrAlreadySettled is that the delivery was settled before, by an earlier [Event.Ack].
var ErrAlreadySettled = errors.New("the delivery was settled before")

// SettleError is why a delivery could not be settled or its deadline not moved. It has the event attempted again.
type SettleError struct {
	// Reason is the host's, if it gave one.
	Reason string
	// Left is how much is left to ask for, when the deadline lies beyond what the host allows.
	Left time.Duration
}

func (e *SettleError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the deadline lies beyond what the host allows; %d ms are left", millis(e.Left))
	}
	return "the delivery was not settled: " + e.Reason
}

func settleError(failure *host.Failure) error {
	switch {
	case failure == nil:
		return nil
	case failure.Case == host.AlreadySettled:
		return ErrAlreadySettled
	case failure.Case == host.TooLong:
		return &SettleError{Left: duration(failure.Number)}
	case failure.Text == "":
		return &SettleError{Reason: "the host does not say why"}
	default:
		return &SettleError{Reason: failure.Text}
	}
}
