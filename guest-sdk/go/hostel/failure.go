package hostel

import (
	"errors"
	"time"
)

// failure is an error with advice of its own.
type failure struct {
	err   error
	given advice
}

// advice is what should become of the event.
type advice struct {
	reject bool
	// timed says that after counts.
	timed bool
	after time.Duration
}

// adviser is what every error of this package is that says what should become of the event.
type adviser interface{ advice() advice }

// Reject makes an error one that makes the event a dead letter at once: it will never go better.
//
// The host keeps the first 4,096 bytes of the error's text. Of nil it makes nil.
func Reject(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err, advice{reject: true}}
}

// Retry makes an error one that has the event attempted again after this time, counted from the end of this attempt,
// until the subscription's attempts are used up. Zero and less leave the time to the subscription's backoff.
//
// Counted in milliseconds, rounded up; the host caps it at 24 hours and keeps the first 4,096 bytes of the error's
// text. Of nil it makes nil.
func Retry(err error, after time.Duration) error {
	if err == nil {
		return nil
	}
	return &failure{err, advice{timed: after > 0, after: after}}
}

// IsReject says whether an error that a handler returns makes the event a dead letter at once.
func IsReject(err error) bool { return adviceOf(err).reject }

// RetryAfter is the time that an error asks to wait before the next attempt, if it does.
func RetryAfter(err error) (time.Duration, bool) {
	advice := adviceOf(err)
	return advice.after, advice.timed
}

func (f *failure) Error() string  { return f.err.Error() }
func (f *failure) Unwrap() error  { return f.err }
func (f *failure) advice() advice { return f.given }

// adviceOf is what the outermost error with advice says. An error without any is a retry.
func adviceOf(err error) advice {
	var own adviser
	if errors.As(err, &own) {
		return own.advice()
	}
	return advice{}
}

// millis counts in milliseconds, rounded up.
func millis(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	ms := uint64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return ms
}

// duration takes milliseconds, at most what a Duration can be.
func duration(ms uint64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond
}
