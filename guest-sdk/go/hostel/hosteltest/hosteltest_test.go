package hosteltest_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/hosteltest"
)

func run(handler func(*hostel.Event) error) hosteltest.Result {
	return hosteltest.Run(handler, hosteltest.Event{Topic: "a"})
}

func TestAnEventTellsWhatWasPublished(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	event := hosteltest.Event{
		ID: "e-1", Topic: "students.registered", Attempt: 2, PublishedAt: at, Body: []byte("text"), LastError: "no room",
		Headers: []hostel.Header{{Name: "Kind", Value: "a"}, {Name: "kind", Value: "b"}},
	}
	result := hosteltest.Run(func(event *hostel.Event) error {
		if event.ID() != "e-1" || event.Topic() != "students.registered" || event.Attempt() != 2 {
			t.Error(event.ID(), event.Topic(), event.Attempt())
		}
		if !event.PublishedAt().Equal(at) || event.LastError() != "no room" {
			t.Error(event.PublishedAt(), event.LastError())
		}
		if len(event.Headers()) != 2 || event.Header("KIND") != "a" {
			t.Error(event.Headers())
		}
		if _, ok := event.LookupHeader("other"); ok {
			t.Error("there is no such header")
		}
		text, err := event.Text()
		if text != "text" || &event.Body()[0] != &event.Body()[0] {
			t.Error("the body is fetched once", text)
		}
		return err
	}, event)
	if result.Err != nil {
		t.Error(result.Err)
	}
}

func TestAnErrorSaysWhatBecomesOfTheEvent(t *testing.T) {
	plain := errors.New("closed")
	check := func(err error, reject bool, after time.Duration) {
		t.Helper()
		for _, err := range []error{err, fmt.Errorf("cannot: %w", err)} {
			got, timed := hostel.RetryAfter(err)
			if hostel.IsReject(err) != reject || got != after && timed || timed != (after > 0) {
				t.Errorf("%v: reject %v, after %v", err, hostel.IsReject(err), got)
			}
		}
	}
	check(plain, false, 0)
	check(hostel.Reject(plain), true, 0)
	check(hostel.Retry(plain, time.Minute), false, time.Minute)
	check(hostel.Retry(hostel.Reject(plain), 0), false, 0)
	check(&hostel.PublishError{Kind: hostel.Denied}, true, 0)
	check(&hostel.PublishError{Kind: hostel.Overloaded, RetryAfter: time.Second}, false, time.Second)
	check(&hostel.PublishError{Kind: hostel.Failed}, false, 0)
	if !errors.Is(hostel.Reject(plain), plain) || hostel.Reject(nil) != nil || hostel.Retry(nil, 1) != nil {
		t.Error("what is wrapped is found again, and nil stays nil")
	}
}

func TestABodyThatIsNotWhatIsExpectedIsRejected(t *testing.T) {
	check := func(body string, read func(*hostel.Event) error, expected string) {
		t.Helper()
		err := hosteltest.Run(read, hosteltest.Event{Topic: "a", Body: []byte(body)}).Err
		if !hostel.IsReject(err) || !strings.HasPrefix(err.Error(), expected) {
			t.Error(err)
		}
	}
	json := func(event *hostel.Event) error { return event.JSON(new(struct{ Name string })) }
	text := func(event *hostel.Event) error { _, err := event.Text(); return err }
	check("{", json, "the body is not the JSON that is expected: ")
	check(`{"name": 7}`, json, "the body is not the JSON that is expected: ")
	check("a\xff", text, "the body is not UTF-8 text")
}

func TestARunTellsLogsAckAndExtension(t *testing.T) {
	result := run(func(event *hostel.Event) error {
		slog.Info("one", "msg", "kept", slog.Group("g", "k", 2))
		slog.With("a", "b c").WithGroup("x").Error("two", "y", 1)
		log.Print("three")
		if err := event.Extend(1500*time.Microsecond + 1); err != nil {
			return err
		}
		if err := event.Ack(); err != nil {
			return err
		}
		return event.Ack()
	})
	if !errors.Is(result.Err, hostel.ErrAlreadySettled) || !result.Acked {
		t.Errorf("%+v", result)
	}
	if !slices.Equal(result.Extended, []time.Duration{2 * time.Millisecond}) {
		t.Error(result.Extended)
	}
	var lines []string
	for _, line := range result.Logs {
		lines = append(lines, fmt.Sprintf("%v %s", line.Level, line.Text))
	}
	if !slices.Equal(lines, []string{"INFO one msg=kept g.k=2", `ERROR two a="b c" x.y=1`, "INFO three"}) {
		t.Errorf("%q", lines)
	}
	if context := result.Logs[0].Context; !strings.Contains(context, "TestARunTellsLogsAckAndExtension") {
		t.Error(context)
	}
}

func TestTheDefaultLoggerIsBackAfterARun(t *testing.T) {
	before, writer := slog.Default(), log.Writer()
	run(func(*hostel.Event) error { return nil })
	if slog.Default() != before || log.Writer() != writer {
		t.Error("a run leaves the loggers as they were")
	}
}

func TestPublishedIDsAreThoseGivenOrCounted(t *testing.T) {
	result := run(func(*hostel.Event) error {
		first, err := hostel.PublishJSON("a", map[string]int{"n": 1})
		if first != "published-1" || err != nil {
			t.Error(first, err)
		}
		second, err := hostel.Publish("b", hostel.Message{ID: "mine", Body: []byte("x")})
		if second != "mine" {
			t.Error(second)
		}
		return err
	})
	if first := result.Published[0]; string(first.Body) != `{"n":1}` || first.Header("content-type") != "application/json" {
		t.Errorf("%+v", first)
	}
	if second := result.Published[1]; second.Topic != "b" || second.Header("hostel-id") != "mine" {
		t.Errorf("%+v", second)
	}
}

func TestWhatTheHostWouldRefuseIsRefused(t *testing.T) {
	check := func(topic string, header hostel.Header, expected string) {
		t.Helper()
		result := run(func(*hostel.Event) error {
			_, err := hostel.Publish(topic, hostel.Message{Headers: []hostel.Header{header}})
			return err
		})
		if !hostel.IsReject(result.Err) || result.Err.Error() != "the message was refused: "+expected {
			t.Errorf("%q: %v", topic, result.Err)
		}
	}
	good := hostel.Header{Name: "a", Value: "b"}
	check("", good, "topic is empty")
	check("a..b", good, "topic `a..b` has an empty token")
	check("a b", good, "topic `a b` has ' '; allowed are A-Z, a-z, 0-9, ., _ and -")
	check(strings.Repeat("a", 256), good, "topic has 256 bytes, more than 255")
	check("a", hostel.Header{Name: "x", Value: "\x00"}, "the value of header `x` has a NUL character")
	check("a", hostel.Header{Name: "a b"}, `header name "a b" is not 1 to 256 bytes without white space and control characters`)
	check("a", hostel.Header{Name: "x", Value: strings.Repeat("v", 64*1024)}, "the headers of a message have at most 65536 bytes")
}

func TestADeniedTopicIsDeniedWithTheCure(t *testing.T) {
	host := hosteltest.Host{Deny: []string{"orders.priced"}}
	err := host.Run(func(*hostel.Event) error {
		_, err := hostel.PublishJSON("orders.priced", 1)
		return err
	}, hosteltest.Event{Topic: "a"}).Err
	if err.Error() != "publishing was denied: add \"orders.priced\" to `publish` in the handler's manifest" {
		t.Error(err)
	}
}

func TestConfigIsWhatTheTestSets(t *testing.T) {
	prepare := func() error { _, err := hostel.Config("key"); return err }
	err := new(hosteltest.Host).Init(prepare).Err
	if err == nil || hostel.IsReject(err) || !strings.Contains(err.Error(), "`key` is not set; set it under `[config]`") {
		t.Error(err)
	}
	host := hosteltest.Host{Config: map[string]string{"key": ""}}
	if err := host.Init(prepare).Err; err != nil {
		t.Error(err)
	}
}

func TestBucketsKeepValues(t *testing.T) {
	host := hosteltest.Host{Buckets: map[string]map[string][]byte{"totals": {"old": []byte("x")}}}
	handler := func(*hostel.Event) error {
		if _, err := hostel.OpenBucket("other"); !errors.Is(err, hostel.ErrNoSuchBucket) {
			t.Error(err)
		}
		bucket, err := hostel.OpenBucket("totals")
		if err != nil {
			return err
		}
		defer bucket.Close()
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			if err := bucket.Set(key, []byte(key)); err != nil {
				return err
			}
		}
		if err := bucket.Delete("old"); err != nil {
			return err
		}
		if _, ok, err := bucket.Get("old"); ok || err != nil {
			t.Error("deleted", ok, err)
		}
		if value, ok, _ := bucket.Get("b"); !ok || string(value) != "b" {
			t.Error(value, ok)
		}
		for sum := uint64(2); sum <= 4; sum += 2 {
			if got, err := bucket.Increment("n", 2); got != sum || err != nil {
				t.Error(got, err)
			}
		}
		if _, err := bucket.Increment("a", 1); err == nil {
			t.Error("`a` is no number")
		}
		keys, err := bucket.Keys()
		if slices.Sort(keys); !slices.Equal(keys, []string{"a", "b", "c", "d", "e", "n"}) {
			t.Error(keys)
		}
		return err
	}
	if err := host.Run(handler, hosteltest.Event{Topic: "a"}).Err; err != nil {
		t.Error(err)
	}
	if string(host.Buckets["totals"]["n"]) != "4" {
		t.Error("the next run sees what this one left")
	}
}

func TestAPanicPassesThroughAndLeavesNoHostBehind(t *testing.T) {
	func() {
		defer func() {
			if recover() == nil {
				t.Error("it panicked")
			}
		}()
		run(func(*hostel.Event) error { panic("on purpose") })
	}()
	if _, err := hostel.Config("key"); err == nil || !strings.Contains(err.Error(), "there is no host here") {
		t.Error(err)
	}
	if err := run(func(*hostel.Event) error { return nil }).Err; err != nil {
		t.Error(err)
	}
}

func TestParallelRunsDoNotSeeEachOther(t *testing.T) {
	for n := range 8 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			result := run(func(*hostel.Event) error {
				_, err := hostel.PublishJSON("a", n)
				return err
			})
			if len(result.Published) != 1 || string(result.Published[0].Body) != fmt.Sprint(n) {
				t.Errorf("%+v", result)
			}
		})
	}
}
