// Command hello is the smallest handler: it logs the event and acknowledges it.
package main

import (
	"fmt"
	"log/slog"

	"hostel.dev/go/hostel"
)

func init() { hostel.Handle(handle) }

// Never called: a component has no main program, and Go wants one.
func main() {}

func handle(event *hostel.Event) error {
	slog.Info(fmt.Sprintf("hello, event %s on %s, attempt %d, with %d bytes",
		event.ID(), event.Topic(), event.Attempt(), len(event.Body())))
	return nil
}
