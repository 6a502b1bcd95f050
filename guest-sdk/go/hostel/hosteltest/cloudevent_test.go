package hosteltest_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/hosteltest"
)

var minimum = []hostel.Header{
	{Name: "Ce-Specversion", Value: "1.0"}, {Name: "ce-id", Value: "1"}, {Name: "CE-SOURCE", Value: "/s"},
	{Name: "ce-type", Value: "t"},
}

func with(more ...hostel.Header) []hostel.Header {
	return append(append([]hostel.Header{}, minimum...), more...)
}

func readCloudEvent(headers []hostel.Header, body string) (event hostel.CloudEvent, err error) {
	err = hosteltest.Run(func(delivered *hostel.Event) error {
		event, err = delivered.CloudEvent()
		return err
	}, hosteltest.Event{Topic: "a", Headers: headers, Body: []byte(body)}).Err
	return event, err
}

func TestACloudEventIsReadWithWhatNobodyKnows(t *testing.T) {
	event, err := readCloudEvent(with(
		hostel.Header{Name: "ce-subject", Value: "Euro%20%e2%82%ac"},
		hostel.Header{Name: "ce-time", Value: "2018-04-05T03:56:24.5Z"},
		hostel.Header{Name: "ce-comexample", Value: `"a \"b\""`},
		hostel.Header{Name: "ce-raw", Value: `{"a": 5}`},
		hostel.Header{Name: "Content-Type", Value: "application/json"},
		hostel.Header{Name: "X-Other", Value: "1"},
	), `{"a":1}`)
	if err != nil {
		t.Fatal(err)
	}
	if event.ID != "1" || event.Source != "/s" || event.Type != "t" || event.Subject != "Euro €" {
		t.Errorf("%+v", event)
	}
	if !event.Time.Equal(time.UnixMilli(1522900584500)) || event.DataContentType != "application/json" {
		t.Errorf("%+v", event)
	}
	if !maps.Equal(event.Extensions, map[string]string{"comexample": `a "b"`, "raw": `{"a": 5}`}) {
		t.Errorf("%+v", event.Extensions)
	}
	var data struct{ A int }
	if err := event.JSON(&data); err != nil || data.A != 1 {
		t.Error(data, err)
	}
}

func TestWhatIsNoCloudEventIsRejectedWithItsReason(t *testing.T) {
	check := func(headers []hostel.Header, expected string) {
		t.Helper()
		_, err := readCloudEvent(headers, "")
		if !hostel.IsReject(err) || err.Error() != expected {
			t.Error(err)
		}
	}
	check(nil, "the event is no CloudEvent: it has no header `ce-specversion`")
	check(minimum[:1], "attribute `id` is missing")
	check([]hostel.Header{{Name: "ce-specversion", Value: "0.3"}}, "the value of attribute `specversion` is malformed")
	for _, value := range []string{"%C0%A0", "100%", `"a`, `"a" b`, `"\`, "%4", "%zz"} {
		check(with(hostel.Header{Name: "ce-ext", Value: value}), "the value of attribute `ext` is malformed")
	}
	check(with(hostel.Header{Name: "ce-time", Value: "now"}), "the value of attribute `time` is malformed")
	check(with(hostel.Header{Name: "ce-my-ext"}), "an extension cannot be called `my-ext`; names are of a-z and 0-9")
}

func TestWhatIsPublishedIsReadAgain(t *testing.T) {
	event := hostel.CloudEvent{
		ID: "7", Source: "/orders", Type: "com.example.packed", Subject: `100% "sure" € 😀\`,
		Time: time.Date(2018, 4, 5, 3, 56, 24, 123456789, time.UTC), DataSchema: "https://example.com/s",
		Extensions: map[string]string{"empty": "", "number": "5"},
	}
	if err := event.SetJSON([]int{1}); err != nil {
		t.Fatal(err)
	}
	result := run(func(*hostel.Event) error {
		_, err := hostel.PublishCloudEvent("orders.packed", event)
		return err
	})
	if result.Err != nil || len(result.Published) != 1 {
		t.Fatal(result)
	}
	published := result.Published[0]
	if subject := published.Headers[4]; subject.Value != `100%25%20%22sure%22%20%E2%82%AC%20%F0%9F%98%80\` {
		t.Error(subject)
	}
	again, err := readCloudEvent(published.Headers, string(published.Body))
	if err != nil || !reflect.DeepEqual(again, event) {
		t.Errorf("%v: %+v", err, again)
	}
}

func TestWhatCannotBePublishedIsRejected(t *testing.T) {
	check := func(event hostel.CloudEvent, expected string) {
		t.Helper()
		_, err := hostel.PublishCloudEvent("a", event)
		var refused *hostel.PublishError
		if !errors.As(err, &refused) || !hostel.IsReject(err) || refused.Reason != expected {
			t.Error(err)
		}
	}
	check(hostel.CloudEvent{Source: "/s", Type: "t"}, "attribute `id` is missing")
	for _, name := range []string{"A", "", "a-b", "time", "data"} {
		event := hostel.CloudEvent{ID: "1", Source: "/s", Type: "t", Extensions: map[string]string{name: ""}}
		check(event, fmt.Sprintf("an extension cannot be called `%s`; names are of a-z and 0-9", name))
	}
	if err := new(hostel.CloudEvent).SetJSON(make(chan int)); !hostel.IsReject(err) {
		t.Error(err)
	}
}
