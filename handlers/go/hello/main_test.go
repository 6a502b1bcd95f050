package main

import (
	"testing"

	"hostel.dev/go/hostel/hosteltest"
)

func TestLogsTheEventAndAcknowledgesIt(t *testing.T) {
	event := hosteltest.Event{ID: "e-1", Topic: "greetings.sent", Attempt: 2, Body: []byte("hi")}
	run := hosteltest.Run(handle, event)
	if run.Err != nil || len(run.Published) != 0 {
		t.Fatalf("%+v", run)
	}
	if text := run.Logs[0].Text; text != "hello, event e-1 on greetings.sent, attempt 2, with 2 bytes" {
		t.Error(text)
	}
}

func TestTakesABodyThatIsNotText(t *testing.T) {
	if run := hosteltest.Run(handle, hosteltest.Event{Topic: "a", Body: []byte{0xff, 0}}); run.Err != nil {
		t.Error(run.Err)
	}
}
