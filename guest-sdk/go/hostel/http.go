package hostel

import (
	"fmt"

	"hostel.dev/go/internal/host"
)

// Request is an HTTP request to another server.
type Request struct {
	// Method is GET if it is empty.
	Method string
	// URL begins with http:// or https://.
	URL     string
	Headers []Header
	Body    []byte
}

// Response is what a server answered, whatever its status.
type Response struct {
	Status  int
	Headers []Header
	Body    []byte
}

// HTTPKind is a kind of [HTTPError].
type HTTPKind string

// The kinds of [HTTPError].
const (
	// HTTPDenied is that the manifest does not allow the request; the handler's log names the line that would. Rejects.
	HTTPDenied HTTPKind = "denied"
	// HTTPInvalid is that the method, the URL or a header is malformed. Rejects.
	HTTPInvalid HTTPKind = "invalid"
	// HTTPFailed is that the server was not reached or did not answer as it should. A retry.
	HTTPFailed HTTPKind = "failed"
)

// HTTPError is why there is no answer.
type HTTPError struct {
	Kind HTTPKind
	URL  string
	// Reason is the host's, of the kinds HTTPInvalid and HTTPFailed.
	Reason string
}

// Send sends a request and waits for the whole answer, or returns an [HTTPError].
//
// The manifest must name the server: http = ["https://api.example.com"]. A request is sent when it is sent: unlike what a
// handler publishes it does not wait for the acknowledgement, and another attempt sends it again. The wait counts to the
// handler's deadline, and no other goroutine runs meanwhile. Redirects are answers like others. net/http has no network
// here.
func Send(request Request) (Response, error) {
	asked := host.Request{Method: request.Method, URL: request.URL, Body: request.Body}
	if asked.Method == "" {
		asked.Method = "GET"
	}
	for _, header := range request.Headers {
		asked.Headers = append(asked.Headers, [2]string{header.Name, header.Value})
	}
	given, failure := host.Send(asked)
	if failure != nil {
		kinds := [...]HTTPKind{host.HTTPDenied: HTTPDenied, host.HTTPInvalid: HTTPInvalid, host.HTTPFailed: HTTPFailed}
		return Response{}, &HTTPError{Kind: kinds[failure.Case], URL: request.URL, Reason: failure.Text}
	}
	response := Response{Status: given.Status, Body: given.Body}
	for _, pair := range given.Headers {
		response.Headers = append(response.Headers, Header{pair[0], pair[1]})
	}
	return response, nil
}

// Header is the value of the first header of this name, whatever its case, and "" if there is none.
func (r Response) Header(name string) string {
	for _, header := range r.Headers {
		if sameName(header.Name, name) {
			return header.Value
		}
	}
	return ""
}

func (e *HTTPError) Error() string {
	switch e.Kind {
	case HTTPDenied:
		return fmt.Sprintf("a request to `%s` was denied: add its server to `http` in handler.toml", e.URL)
	case HTTPInvalid:
		return "the request was refused: " + e.Reason
	default:
		return "the request failed: " + e.Reason
	}
}

func (e *HTTPError) advice() advice { return advice{reject: e.Kind != HTTPFailed} }

// sameName compares names of headers, of whose letters only those of ASCII have a case.
func sameName(one, other string) bool {
	if len(one) != len(other) {
		return false
	}
	for index := range len(one) {
		if lower(one[index]) != lower(other[index]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
