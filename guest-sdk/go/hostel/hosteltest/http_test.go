package hosteltest

import (
	"errors"
	"testing"

	"hostel.dev/go/hostel"
)

func TestARequestIsAnsweredAndAnyOtherIsDenied(t *testing.T) {
	answer := hostel.Response{Status: 404, Headers: []hostel.Header{{Name: "X-A", Value: "b"}}, Body: []byte("none")}
	host := Host{Answers: map[string]hostel.Response{"https://a.example/": answer}}
	run := host.Run(func(*hostel.Event) error {
		given, err := hostel.Send(hostel.Request{URL: "https://a.example/", Body: []byte("asked")})
		if err != nil || given.Status != 404 || given.Header("x-a") != "b" || string(given.Body) != "none" {
			t.Errorf("%+v %v", given, err)
		}
		_, err = hostel.Send(hostel.Request{Method: "PUT", URL: "https://b.example/"})
		return err
	}, Event{Topic: "a"})
	var refusal *hostel.HTTPError
	if !errors.As(run.Err, &refusal) || refusal.Kind != hostel.HTTPDenied || !hostel.IsReject(run.Err) {
		t.Error(run.Err)
	}
	if len(run.Requests) != 2 || run.Requests[0].Method != "GET" || string(run.Requests[0].Body) != "asked" {
		t.Errorf("%+v", run.Requests)
	}
}
