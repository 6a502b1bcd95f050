//go:build !wasip1

package host

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// Double is the host of a native build: what a test sets, and what a handler did. It refuses what the real host would
// refuse.
type Double struct {
	Settings map[string]string
	// Refusals are by topic.
	Refusals map[string]*Failure
	// Stores are the buckets by name, with their values.
	Stores map[string]map[string][]byte
	// Answers are to requests, by URL. A request to any other is denied.
	Answers map[string]Response

	Published []Published
	Lines     []Line
	Requests  []Request
	Acked     bool
	Extended  []uint64
}

// Published is what was published.
type Published struct {
	ID, Topic string
	Headers   [][2]string
	Body      []byte
}

// Line is what was logged.
type Line struct {
	Level         uint8
	Context, Text string
}

// Lending is an event as a test describes it.
type Lending struct {
	ID, Topic     string
	Attempt       uint32
	PublishedAtMs uint64
	Headers       [][2]string
	Body          []byte
	LastError     *string
}

const nobody = "there is no host here; run the handler with package hosteltest"

var (
	// attaching is held for the length of a run: the functions below are global, as they are in a component.
	attaching sync.Mutex
	// guard is held for the length of one call.
	guard   sync.Mutex
	current *Double
)

// Attach runs work with a double. Runs of other goroutines wait.
func Attach(double *Double, work func()) {
	attaching.Lock()
	defer attaching.Unlock()
	set(double)
	defer set(nil)
	work()
}

func set(double *Double) {
	guard.Lock()
	defer guard.Unlock()
	current = double
}

// with calls work with the current double, or says that there is none.
func with(work func(*Double)) bool {
	guard.Lock()
	defer guard.Unlock()
	if current == nil {
		return false
	}
	work(current)
	return true
}

// Delivery is the event that a test lends.
type Delivery struct{ event *Lending }

// Lend makes a delivery of it.
func Lend(event *Lending) Delivery { return Delivery{event} }

// ID is the event's id.
func (d Delivery) ID() string { return d.event.ID }

// Topic is the event's topic.
func (d Delivery) Topic() string { return d.event.Topic }

// Attempt counts from 1.
func (d Delivery) Attempt() uint32 { return d.event.Attempt }

// PublishedAtMs is when the event was published.
func (d Delivery) PublishedAtMs() uint64 { return d.event.PublishedAtMs }

// Headers are all headers in order.
func (d Delivery) Headers() [][2]string { return slices.Clone(d.event.Headers) }

// Header is the first of this name.
func (d Delivery) Header(name string) (string, bool) { return FindHeader(d.event.Headers, name) }

// Body is a new copy of the body.
func (d Delivery) Body() []byte { return append([]byte{}, d.event.Body...) }

// LastError is why the last attempt failed.
func (d Delivery) LastError() (string, bool) {
	if d.event.LastError == nil {
		return "", false
	}
	return *d.event.LastError, true
}

// Ack acknowledges the event.
func (d Delivery) Ack() *Failure {
	failure := &Failure{Case: SettleFailed, Text: nobody}
	with(func(host *Double) {
		failure = nil
		if host.Acked {
			failure = &Failure{Case: AlreadySettled}
		}
		host.Acked = true
	})
	return failure
}

// Extend moves the deadline.
func (d Delivery) Extend(ms uint64) *Failure {
	if !with(func(host *Double) { host.Extended = append(host.Extended, ms) }) {
		return &Failure{Case: SettleFailed, Text: nobody}
	}
	return nil
}

// FindHeader is the value of the first header of this name, whatever its case.
func FindHeader(headers [][2]string, name string) (string, bool) {
	for _, header := range headers {
		if len(header[0]) == len(name) && strings.EqualFold(header[0], name) {
			return header[1], true
		}
	}
	return "", false
}

// Publish keeps a message, unless the host would refuse it.
func Publish(topic string, headers [][2]string, body []byte) (id string, failure *Failure) {
	publish := func(host *Double) {
		if problem := cmp.Or(topicProblem(topic), headersProblem(headers)); problem != "" {
			failure = &Failure{Case: Invalid, Text: problem}
		} else if failure = host.Refusals[topic]; failure == nil {
			var given bool
			if id, given = FindHeader(headers, "Hostel-Id"); !given {
				// Counted, so that a test can foresee it.
				id = fmt.Sprintf("published-%d", len(host.Published)+1)
			}
			host.Published = append(host.Published, Published{id, topic, slices.Clone(headers), slices.Clone(body)})
		}
	}
	if !with(publish) {
		failure = &Failure{Case: PublishFailed, Text: nobody}
	}
	return id, failure
}

// Config is the value of a key, if it is set.
func Config(key string) (value string, ok bool, err error) {
	if !with(func(host *Double) { value, ok = host.Settings[key] }) {
		err = errors.New(nobody)
	}
	return value, ok, err
}

// Log keeps a line.
func Log(level uint8, context, text string) {
	with(func(host *Double) { host.Lines = append(host.Lines, Line{level, context, text}) })
}

// Send keeps the request and gives the answer that the test set.
func Send(request Request) (response Response, failure *Failure) {
	failure = &Failure{Case: HTTPFailed, Text: nobody}
	with(func(host *Double) {
		host.Requests = append(host.Requests, request)
		answer, ok := host.Answers[request.URL]
		if response, failure = answer, nil; !ok {
			failure = &Failure{Case: HTTPDenied}
		}
	})
	return response, failure
}

// Bucket is a map of the double.
type Bucket struct{ name string }

// OpenBucket opens one that the test has set.
func OpenBucket(name string) (Bucket, *Failure) {
	failure := &Failure{Case: Other, Text: nobody}
	with(func(host *Double) {
		failure = nil
		if _, there := host.Stores[name]; !there {
			failure = &Failure{Case: NoSuchStore}
		}
	})
	return Bucket{name}, failure
}

func (b Bucket) with(work func(values map[string][]byte)) *Failure {
	if !with(func(host *Double) { work(host.Stores[b.name]) }) {
		return &Failure{Case: Other, Text: nobody}
	}
	return nil
}

// Get is the value of a key, if there is one.
func (b Bucket) Get(key string) (value []byte, ok bool, failure *Failure) {
	failure = b.with(func(values map[string][]byte) {
		var kept []byte
		kept, ok = values[key]
		value = append([]byte{}, kept...)
	})
	return value, ok, failure
}

// Set sets the value of a key.
func (b Bucket) Set(key string, value []byte) *Failure {
	return b.with(func(values map[string][]byte) { values[key] = append([]byte{}, value...) })
}

// Delete removes a key.
func (b Bucket) Delete(key string) *Failure {
	return b.with(func(values map[string][]byte) { delete(values, key) })
}

// Exists says whether a key has a value.
func (b Bucket) Exists(key string) (ok bool, failure *Failure) {
	failure = b.with(func(values map[string][]byte) { _, ok = values[key] })
	return ok, failure
}

// pageSize is small, so that a test with a handful of keys meets the second page.
const pageSize = 4

// Keys is one page of keys, and the cursor of the next if there is one.
func (b Bucket) Keys(cursor *uint64) (keys []string, next *uint64, failure *Failure) {
	failure = b.with(func(values map[string][]byte) {
		all := slices.Sorted(maps.Keys(values))
		var from uint64
		if cursor != nil {
			from = min(*cursor, uint64(len(all)))
		}
		to := min(from+pageSize, uint64(len(all)))
		keys = all[from:to]
		if to < uint64(len(all)) {
			next = &to
		}
	})
	return keys, next, failure
}

// Increment adds to the number of a key and returns the sum. Numbers are kept as decimal text: arbitrary, the
// contract does not say how.
func (b Bucket) Increment(key string, delta uint64) (sum uint64, failure *Failure) {
	var refused *Failure
	failure = b.with(func(values map[string][]byte) {
		if value, ok := values[key]; ok {
			if _, err := fmt.Sscanf(string(value), "%d", &sum); err != nil {
				refused = &Failure{Case: Other, Text: fmt.Sprintf("the value of `%s` is no number", key)}
				return
			}
		}
		sum += delta
		values[key] = []byte(fmt.Sprint(sum))
	})
	if refused != nil {
		failure = refused
	}
	return sum, failure
}

// Close gives the bucket back.
func (b Bucket) Close() {}

// topicProblem is the host's rule for topics: 1 to 255 bytes of A-Z a-z 0-9 . _ - and no empty token.
func topicProblem(topic string) string {
	isForeign := func(c rune) bool {
		return !(c < unicode.MaxASCII && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("._-", c)))
	}
	switch at := strings.IndexFunc(topic, isForeign); {
	case topic == "":
		return "topic is empty"
	case len(topic) > 255:
		return fmt.Sprintf("topic has %d bytes, more than 255", len(topic))
	case slices.Contains(strings.Split(topic, "."), ""):
		return fmt.Sprintf("topic `%s` has an empty token", topic)
	case at >= 0:
		return fmt.Sprintf("topic `%s` has %q; allowed are A-Z, a-z, 0-9, ., _ and -", topic, []rune(topic[at:])[0])
	}
	return ""
}

// headersProblem is the host's rule for headers: names of 1 to 256 bytes without white space and control characters,
// values without NUL, at most 128 of them and 64 KiB together.
func headersProblem(headers [][2]string) string {
	size := 0
	isForeign := func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }
	for _, header := range headers {
		name, value := header[0], header[1]
		if name == "" || len(name) > 256 || strings.ContainsFunc(name, isForeign) {
			return fmt.Sprintf("header name %q is not 1 to 256 bytes without white space and control characters", name)
		}
		if strings.ContainsRune(value, 0) {
			return fmt.Sprintf("the value of header `%s` has a NUL character", name)
		}
		size += len(name) + len(value)
	}
	if len(headers) > 128 {
		return "a message has at most 128 headers"
	}
	if size > 64*1024 {
		return "the headers of a message have at most 65536 bytes"
	}
	return ""
}
