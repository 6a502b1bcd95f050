package main

import (
	"testing"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/hosteltest"
)

func TestGreetsByName(t *testing.T) {
	run := hosteltest.Run(handle, hosteltest.Event{Topic: "{{topic}}", Body: []byte(`{"name": "Ada"}`)})
	if run.Err != nil || run.Logs[0].Text != "hello, Ada" {
		t.Errorf("%+v", run)
	}
}

func TestRejectsWhatNamesNobody(t *testing.T) {
	run := hosteltest.Run(handle, hosteltest.Event{Topic: "{{topic}}", Body: []byte("{}")})
	if !hostel.IsReject(run.Err) {
		t.Errorf("%+v", run)
	}
}
