// Package hostel is for writing event handlers for Hostel.
//
// A handler is a function that the host calls once for each delivery of an event, in a sandbox of its own. What it
// returns settles the event: nil acknowledges it, an error has it come again or makes it a dead letter.
//
//	package main
//
//	import "hostel.dev/go/hostel"
//
//	func init() { hostel.Handle(handle) }
//
//	// Never called: a component has no main program, and Go wants one.
//	func main() {}
//
//	func handle(event *hostel.Event) error {
//		var order struct{ Number int }
//		if err := event.JSON(&order); err != nil {
//			return err // Not the JSON expected: rejected, with the reason.
//		}
//		slog.Info("packed", "order", order.Number)
//		_, err := hostel.PublishJSON("orders.packed", order)
//		return err
//	}
//
// # What an error does
//
//   - [Reject] makes the event a dead letter at once.
//   - [Retry] has it attempted again, after a time of the handler's choice if there is one.
//   - A [BodyError] rejects, a [PublishError] does what fits its kind: also where another error wraps them.
//   - Any other error has it attempted again.
//   - A panic has it attempted again too: it is logged with its place, and the dead letter has the stack trace.
//
// # Logs
//
// In a component the default logger of log/slog, and with it package log, writes to the host.
//
// # Goroutines
//
// They run while the handler does. What is still running when it returns stops, in the middle, with the instance.
package hostel

import (
	"errors"

	"hostel.dev/go/internal/host"
)

var registered func(*Event) error

// Handle names the handler of this component. Call it in func init: func main does not run in a component.
func Handle(handler func(*Event) error) { registered = handler }

var errNoHandler = errors.New("the component has no handler: call hostel.Handle in func init; func main does not run")

// Deliver runs the handler. For the packages of this module.
func Deliver(delivery host.Delivery, handler func(*Event) error) error {
	if handler == nil {
		return errNoHandler
	}
	return handler(&Event{delivery: delivery})
}
