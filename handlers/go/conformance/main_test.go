package main

import (
	"testing"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/hosteltest"
)

func asking(behaviour string, event hosteltest.Event) hosteltest.Event {
	event.Topic = "conformance.do"
	event.Headers = append([]hostel.Header{{Name: "Behaviour", Value: behaviour}}, event.Headers...)
	return event
}

func TestABodyAndItsHeadersComeBack(t *testing.T) {
	event := hosteltest.Event{Headers: []hostel.Header{{Name: "X-A", Value: ""}}, Body: []byte{0, 0xff}}
	run := hosteltest.Run(handle, asking("echo", event))
	if run.Err != nil || len(run.Published) != 1 {
		t.Fatalf("%+v", run)
	}
	if echoed := run.Published[0]; string(echoed.Body) != "\x00\xff" || len(echoed.Headers) != 2 {
		t.Errorf("%+v", echoed)
	}
}

func TestAnUnknownBehaviourIsRejected(t *testing.T) {
	run := hosteltest.Run(handle, asking("sing", hosteltest.Event{}))
	if !hostel.IsReject(run.Err) || run.Err.Error() != `there is no behaviour "sing"` {
		t.Error(run.Err)
	}
}

func TestAConfigRefusesTheDeployment(t *testing.T) {
	host := hosteltest.Host{Config: map[string]string{"refuse": "no"}}
	if run := host.Init(prepare); run.Err == nil || run.Err.Error() != "refused on demand: no" {
		t.Error(run.Err)
	}
}
