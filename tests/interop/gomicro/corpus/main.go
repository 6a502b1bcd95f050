// Command corpus prints what Go's standard library makes of messages, well-formed or not, one JSON object a line. The
// output is kept in tests/fixtures/gomicro; Hostel's codec is compared with it.
//
//	go run . decode > classic.jsonl
//	GOEXPERIMENT=jsonv2 go run . decode classic.jsonl > ../../../fixtures/gomicro/json-decode.jsonl
//	go run . encode > ../../../fixtures/gomicro/json-encode.jsonl
//	go run . query  > ../../../fixtures/gomicro/query.jsonl
//
// Go has two implementations of encoding/json, and they word some errors differently. The captures of go-micro are of
// the newer one, so its words are `error`; `classic` is what the older one says where that differs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"unicode/utf8"

	"hostel.test/interop/gomicro/corpus/broker"
)

// Decoded is what became of one body.
type Decoded struct {
	// Input is the body, or Bytes is where it is not UTF-8.
	Input  string            `json:"input,omitempty"`
	Bytes  []byte            `json:"bytes,omitempty"`
	Null   bool              `json:"null,omitempty"`
	Header map[string]string `json:"header,omitempty"`
	Body   []byte            `json:"body,omitempty"`
	Error  string            `json:"error,omitempty"`
	// Classic is the other implementation's error, if it words it differently.
	Classic string `json:"classic,omitempty"`
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch what := os.Args[1]; what {
	case "decode":
		decode(json.NewEncoder(out))
	case "encode":
		encode(json.NewEncoder(out))
	case "query":
		query(json.NewEncoder(out))
	default:
		panic("neither decode nor encode nor query: " + what)
	}
}

func decode(out *json.Encoder) {
	var classic *json.Decoder
	if len(os.Args) > 2 {
		file, err := os.Open(os.Args[2])
		check(err)
		defer file.Close()
		classic = json.NewDecoder(file)
	}
	for _, input := range inputs() {
		line := unmarshal(input)
		if classic != nil {
			var other Decoded
			check(classic.Decode(&other))
			compare(&line, &other)
		}
		check(out.Encode(line))
	}
}

// Unmarshals as go-micro does: into a pointer to a pointer.
func unmarshal(input []byte) Decoded {
	var line Decoded
	if utf8.Valid(input) {
		line.Input = string(input)
	} else {
		line.Bytes = input
	}
	var message *broker.Message
	if err := json.Unmarshal(input, &message); err != nil {
		line.Error = err.Error()
	} else if message == nil {
		line.Null = true
	} else {
		line.Header, line.Body = message.Header, message.Body
	}
	return line
}

// Both implementations must take the same bodies and read the same in them.
func compare(line, other *Decoded) {
	if line.Error != other.Error {
		if line.Error == "" || other.Error == "" {
			fmt.Fprintf(os.Stderr, "differ on whether this is right: %q: %q, classic %q\n", line.Input, line.Error, other.Error)
		}
		line.Classic = other.Error
		return
	}
	if fmt.Sprint(line.Header, line.Body, line.Null) != fmt.Sprint(other.Header, other.Body, other.Null) {
		fmt.Fprintf(os.Stderr, "differ on what this says: %q: %v, classic %v\n", line.Input, *line, *other)
	}
}

func encode(out *json.Encoder) {
	type Encoded struct {
		Header map[string]string `json:"header"`
		Body   []byte            `json:"body"`
		Output string            `json:"output"`
	}
	for _, message := range messages() {
		output, err := json.Marshal(message)
		check(err)
		check(out.Encode(Encoded{message.Header, message.Body, string(output)}))
	}
}

func query(out *json.Encoder) {
	type Read struct {
		Query string `json:"query"`
		ID    string `json:"id"`
		// Written is the query that a publisher makes of that id.
		Written string `json:"written"`
	}
	for _, text := range queries() {
		// ParseForm keeps what it could read, whatever the error.
		values, _ := url.ParseQuery(text)
		id := values.Get("id")
		if !utf8.ValidString(id) {
			continue
		}
		check(out.Encode(Read{text, id, url.Values{"id": {id}}.Encode()}))
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
