// Command conformance does what an event asks for and tells what came of it: the fixture by which every language is held
// to the same answers. docs/languages.md says what each behaviour does; tests/tests/conformance.rs asks for them.
//
// The behaviour is the header Behaviour. What came of it is published on conformance.result: as JSON, but for echo.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"hostel.dev/go/hostel"
	"hostel.dev/go/hostel/lifecycle"
)

const (
	result = "conformance.result"
	// other is the other topic that the manifest allows, denied one that it does not.
	other  = "conformance.other"
	denied = "conformance.denied"
)

// count is how many events this instance has counted.
var count int

// behaviours is what each does. What it answers is told, nil is not.
var behaviours = map[string]func(*hostel.Event) (any, error){
	"echo":             echo,
	"describe":         describe,
	"publish":          publish,
	"publish-denied":   publishDenied,
	"key-value":        keep,
	"key-value-denied": keepDenied,
	"config":           config,
	"require-config":   requireConfig,
	"log":              log,
	"clocks":           clocks,
	"random":           random,
	"http":             ask,
	"retry":            retry,
	"reject":           reject,
	"ack":              acknowledge,
	"extend":           extend,
	"sleep":            sleep,
	"panic":            outermost,
	"count":            increase,
}

func init() {
	hostel.Handle(handle)
	lifecycle.Init(prepare)
}

// Never called: a component has no main program, and Go wants one.
func main() {}

// prepare refuses a deployment whose config says so.
func prepare() error {
	why, isSet, err := hostel.LookupConfig("refuse")
	if err != nil || !isSet {
		return err
	}
	return fmt.Errorf("refused on demand: %s", why)
}

func handle(event *hostel.Event) error {
	name := event.Header("Behaviour")
	behaviour, ok := behaviours[name]
	if !ok {
		return hostel.Reject(fmt.Errorf("there is no behaviour %q", name))
	}
	answer, err := behaviour(event)
	if err != nil || answer == nil {
		return err
	}
	return tell(event, answer)
}

func tell(event *hostel.Event, answer any) error {
	body, err := json.Marshal(answer)
	if err != nil {
		return hostel.Reject(err)
	}
	headers := []hostel.Header{{Name: "Content-Type", Value: "application/json"}}
	_, err = hostel.Publish(result, hostel.Message{ID: "result-" + event.ID(), Headers: headers, Body: body})
	return err
}

// echo publishes the body as it came, and of the headers those that begin with x-.
func echo(event *hostel.Event) (any, error) {
	var headers []hostel.Header
	for _, header := range event.Headers() {
		if strings.HasPrefix(strings.ToLower(header.Name), "x-") {
			headers = append(headers, header)
		}
	}
	_, err := hostel.Publish(result, hostel.Message{ID: "result-" + event.ID(), Headers: headers, Body: event.Body()})
	return nil, err
}

func describe(event *hostel.Event) (any, error) {
	return map[string]any{
		"id":              event.ID(),
		"topic":           event.Topic(),
		"attempt":         event.Attempt(),
		"published_at_ms": event.PublishedAt().UnixMilli(),
		"last_error":      optional(event.LastError(), event.LastError() != ""),
		"bytes":           len(event.Body()),
		// Written otherwise than it is sent.
		"header":  optional(event.LookupHeader("x-REPEATED")),
		"missing": optional(event.LookupHeader("X-Missing")),
	}, nil
}

func publish(event *hostel.Event) (any, error) {
	id, err := hostel.Publish(other, hostel.Message{
		ID:      "other-" + event.ID(),
		Headers: []hostel.Header{{Name: "X-Kind", Value: "other"}},
		Body:    []byte("other"),
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"id": id, "denied": refused(denied), "invalid": refused("conformance..other")}, nil
}

func refused(topic string) [2]string {
	_, err := hostel.Publish(topic, hostel.Message{})
	var refusal *hostel.PublishError
	if !errors.As(err, &refusal) {
		return [2]string{"unexpected", fmt.Sprint(err)}
	}
	return [2]string{string(refusal.Kind), refusal.Error()}
}

func publishDenied(*hostel.Event) (any, error) {
	_, err := hostel.Publish(denied, hostel.Message{})
	return nil, err
}

func keep(event *hostel.Event) (any, error) {
	bucket, err := hostel.OpenBucket("conformance")
	if err != nil {
		return nil, err
	}
	defer bucket.Close()
	key, number := event.ID()+"-value", event.ID()+"-number"
	before, _, err := bucket.Get(key)
	if err != nil {
		return nil, err
	}
	if err := bucket.Set(key, []byte{0, 255, 'v'}); err != nil {
		return nil, err
	}
	after, _, err := bucket.Get(key)
	if err != nil {
		return nil, err
	}
	exists, err := bucket.Exists(key)
	if err != nil {
		return nil, err
	}
	if _, err := bucket.Increment(number, 2); err != nil {
		return nil, err
	}
	sum, err := bucket.Increment(number, 3)
	if err != nil {
		return nil, err
	}
	keys, err := bucket.Keys()
	if err != nil {
		return nil, err
	}
	if err := bucket.Delete(key); err != nil {
		return nil, err
	}
	still, err := bucket.Exists(key)
	if err != nil {
		return nil, err
	}
	_, err = hostel.OpenBucket("forbidden")
	return map[string]any{
		"before": list(before), "after": list(after), "exists": exists, "sum": sum, "keys": keys, "deleted": !still,
		"denied": errors.Is(err, hostel.ErrBucketDenied),
	}, nil
}

func keepDenied(*hostel.Event) (any, error) {
	_, err := hostel.OpenBucket("forbidden")
	return nil, err
}

func config(*hostel.Event) (any, error) {
	set, err := hostel.Config("greeting")
	if err != nil {
		return nil, err
	}
	unset, isSet, err := hostel.LookupConfig("absent")
	return map[string]any{"set": set, "unset": optional(unset, isSet)}, err
}

func requireConfig(*hostel.Event) (any, error) {
	_, err := hostel.Config("absent")
	return nil, err
}

func log(*hostel.Event) (any, error) {
	slog.Log(context.Background(), hostel.LevelTrace, "at trace")
	slog.Debug("at debug")
	slog.Info("at info: grüß dich")
	slog.Warn("at warn")
	slog.Error("at error")
	fmt.Println("on stdout")
	fmt.Fprintln(os.Stderr, "on stderr")
	return nil, nil
}

func clocks(event *hostel.Event) (any, error) {
	asked, err := milliseconds(event)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	time.Sleep(asked)
	elapsed := time.Since(began)
	return map[string]any{"wall_ms": time.Now().UnixMilli(), "elapsed_ms": elapsed.Milliseconds()}, nil
}

func random(*hostel.Event) (any, error) {
	var drawn [2][]int
	for index := range drawn {
		bytes := make([]byte, 16)
		if _, err := rand.Read(bytes); err != nil {
			return nil, err
		}
		drawn[index] = list(bytes)
	}
	return map[string]any{"random": drawn}, nil
}

func ask(event *hostel.Event) (any, error) {
	answer, err := hostel.Send(hostel.Request{
		Method:  "POST",
		URL:     event.Header("Url"),
		Headers: []hostel.Header{{Name: "X-Sent", Value: "sent"}},
		Body:    event.Body(),
	})
	if err != nil {
		return nil, err
	}
	_, err = hostel.Send(hostel.Request{URL: event.Header("Denied-Url")})
	var refusal *hostel.HTTPError
	return map[string]any{
		"status": answer.Status,
		"header": answer.Header("X-Answered"),
		"body":   string(answer.Body),
		"denied": errors.As(err, &refusal) && refusal.Kind == hostel.HTTPDenied,
	}, nil
}

func retry(event *hostel.Event) (any, error) {
	if event.Attempt() > 1 {
		return describe(event)
	}
	err := errors.New("not yet: nö")
	if _, isTimed := event.LookupHeader("Milliseconds"); !isTimed {
		return nil, err
	}
	asked, malformed := milliseconds(event)
	if malformed != nil {
		return nil, malformed
	}
	return nil, hostel.Retry(err, asked)
}

func reject(*hostel.Event) (any, error) {
	return nil, hostel.Reject(errors.New("rejected on demand: nö"))
}

// acknowledge publishes before and after: what is published before holds, whatever happens then.
func acknowledge(event *hostel.Event) (any, error) {
	if _, err := hostel.Publish(other, hostel.Message{Body: []byte("before")}); err != nil {
		return nil, err
	}
	if err := event.Ack(); err != nil {
		return nil, err
	}
	second := errors.Is(event.Ack(), hostel.ErrAlreadySettled)
	if err := tell(event, map[string]any{"already_settled": second}); err != nil {
		return nil, err
	}
	return outermost(event)
}

func extend(event *hostel.Event) (any, error) {
	asked, err := milliseconds(event)
	if err != nil {
		return nil, err
	}
	if err := event.Extend(2 * asked); err != nil {
		return nil, err
	}
	time.Sleep(asked)
	var tooLong *hostel.SettleError
	if err := event.Extend(24 * time.Hour); !errors.As(err, &tooLong) {
		return map[string]any{"left_ms": fmt.Sprint(err)}, nil
	}
	return map[string]any{"left_ms": tooLong.Left.Milliseconds()}, nil
}

func sleep(event *hostel.Event) (any, error) {
	asked, err := milliseconds(event)
	if err != nil {
		return nil, err
	}
	time.Sleep(asked)
	return map[string]any{}, nil
}

//go:noinline
func outermost(event *hostel.Event) (any, error) { return middle(event) }

//go:noinline
func middle(event *hostel.Event) (any, error) { return innermost(event) }

//go:noinline
func innermost(event *hostel.Event) (any, error) {
	panic(fmt.Sprintf("failed on demand in attempt %d", event.Attempt()))
}

func increase(*hostel.Event) (any, error) {
	count++
	return map[string]any{"count": count}, nil
}

func milliseconds(event *hostel.Event) (time.Duration, error) {
	number, err := strconv.Atoi(event.Header("Milliseconds"))
	if err != nil {
		return 0, hostel.Reject(fmt.Errorf("header `Milliseconds`: %w", err))
	}
	return time.Duration(number) * time.Millisecond, nil
}

// optional is a text if there is one.
func optional(text string, ok bool) any {
	if !ok {
		return nil
	}
	return text
}

// list is bytes as numbers: encoding/json would write a text.
func list(bytes []byte) []int {
	if bytes == nil {
		return nil
	}
	numbers := make([]int, len(bytes))
	for index, one := range bytes {
		numbers[index] = int(one)
	}
	return numbers
}
