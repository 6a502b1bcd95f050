// Command {{name}} greets whoever an event names.
package main

import (
	"errors"
	"log/slog"

	"hostel.dev/go/hostel"
)

func init() { hostel.Handle(handle) }

// Never called: a component has no main program, and Go wants one.
func main() {}

func handle(event *hostel.Event) error {
	var greeting struct {
		Name string `json:"name"`
	}
	// Not JSON: rejected, with the reason.
	if err := event.JSON(&greeting); err != nil {
		return err
	}
	if greeting.Name == "" {
		return hostel.Reject(errors.New("no `name` in the event"))
	}
	slog.Info("hello, " + greeting.Name)
	return nil
}
