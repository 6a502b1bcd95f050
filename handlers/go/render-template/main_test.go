package main

import (
	"strings"
	"testing"
	"time"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/hosteltest"
)

const good = `{"number": "o-7", "customer": "Ada & <Co>", "items": [
	{"name": "pen", "count": 3, "cents": 150}, {"name": "ink", "count": 1, "cents": 5}]}`

func event(body string) hosteltest.Event {
	return hosteltest.Event{ID: "e-1", Topic: "orders.paid", Body: []byte(body)}
}

func TestAReceiptIsPublished(t *testing.T) {
	run := hosteltest.Run(handle, event(good))
	if run.Err != nil || len(run.Published) != 1 {
		t.Fatalf("%+v", run)
	}
	receipt := run.Published[0]
	if receipt.Topic != "receipts.rendered" || receipt.ID != "receipt-e-1" {
		t.Errorf("%+v", receipt)
	}
	if kind := receipt.Header("content-type"); kind != "text/html; charset=utf-8" {
		t.Error(kind)
	}
	for _, part := range []string{"Receipt o-7", "<td>3 × 1.50</td><td>4.50</td>", "<th>4.55</th>"} {
		if !strings.Contains(string(receipt.Body), part) {
			t.Errorf("no %q in %s", part, receipt.Body)
		}
	}
	if text := run.Logs[0].Text; !strings.HasPrefix(text, "rendered a receipt order=o-7 items=2 bytes=") {
		t.Error(text)
	}
}

func TestWhatCustomersTypeIsEscaped(t *testing.T) {
	run := hosteltest.Run(handle, event(good))
	if body := string(run.Published[0].Body); !strings.Contains(body, "Ada &amp; &lt;Co&gt;") {
		t.Error(body)
	}
}

func TestWhatIsWrongIsRejectedWithEveryProblem(t *testing.T) {
	check := func(body string, expected ...string) {
		t.Helper()
		run := hosteltest.Run(handle, event(body))
		if !hostel.IsReject(run.Err) || len(run.Published) > 0 {
			t.Fatalf("%s: %+v", body, run)
		}
		for _, part := range expected {
			if !strings.Contains(run.Err.Error(), part) {
				t.Errorf("%s: no %q in %q", body, part, run.Err)
			}
		}
	}
	check("", "the body is not the JSON that is expected")
	check(`{"number": 7}`, "the body is not the JSON that is expected", "number")
	check(`{}`, "`number` is missing", "`customer` is missing", "`items` has 0 entries")
	check(`{"number": "1", "customer": "a", "items": [{"cents": -1}]}`,
		"`items[0].name` is missing", "`items[0].count` is 0", "`items[0].cents` is -1")
}

func TestAFullQueueIsTriedAgainWhenTheHostSays(t *testing.T) {
	busy := &hostel.PublishError{Kind: hostel.Overloaded, RetryAfter: 3 * time.Second}
	host := hosteltest.Host{Refuse: map[string]*hostel.PublishError{rendered: busy}}
	run := host.Run(handle, event(good))
	if after, ok := hostel.RetryAfter(run.Err); !ok || after != 3*time.Second || hostel.IsReject(run.Err) {
		t.Errorf("%v", run.Err)
	}
}
