package host

import (
	"strconv"
	"strings"
	"unsafe"
)

//go:wasmimport wasi:http/types@0.2.12 [static]fields.from-list
func fieldsFromList(entries unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [method]fields.entries
func fieldsEntries(fields int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]fields
func fieldsDrop(fields int32)

//go:wasmimport wasi:http/types@0.2.12 [constructor]outgoing-request
func requestNew(fields int32) int32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-method
func requestSetMethod(request int32, method uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-scheme
func requestSetScheme(request int32, isSome, scheme uint32, other string) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-authority
func requestSetAuthority(request int32, isSome uint32, authority string) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.set-path-with-query
func requestSetPath(request int32, isSome uint32, path string) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-request.body
func requestBody(request int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]outgoing-request
func requestDrop(request int32)

//go:wasmimport wasi:http/outgoing-handler@0.2.12 handle
func requestSend(request int32, hasOptions uint32, options int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [method]outgoing-body.write
func outgoingWrite(body int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [static]outgoing-body.finish
func outgoingFinish(body int32, hasTrailers uint32, trailers int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]outgoing-body
func outgoingDrop(body int32)

//go:wasmimport wasi:io/streams@0.2.12 [method]output-stream.blocking-write-and-flush
func outputWrite(stream int32, contents unsafe.Pointer, count uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]output-stream
func outputDrop(stream int32)

//go:wasmimport wasi:http/types@0.2.12 [method]future-incoming-response.subscribe
func futureSubscribe(future int32) int32

//go:wasmimport wasi:http/types@0.2.12 [method]future-incoming-response.get
func futureGet(future int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]future-incoming-response
func futureDrop(future int32)

//go:wasmimport wasi:io/poll@0.2.12 [method]pollable.block
func pollableBlock(pollable int32)

//go:wasmimport wasi:io/poll@0.2.12 [resource-drop]pollable
func pollableDrop(pollable int32)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.status
func responseStatus(response int32) uint32

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.headers
func responseHeaders(response int32) int32

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-response.consume
func responseConsume(response int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-response
func responseDrop(response int32)

//go:wasmimport wasi:http/types@0.2.12 [method]incoming-body.stream
func incomingStream(body int32, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.12 [resource-drop]incoming-body
func incomingDrop(body int32)

//go:wasmimport wasi:io/streams@0.2.12 [method]input-stream.blocking-read
func inputRead(stream int32, count uint64, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.12 [resource-drop]input-stream
func inputDrop(stream int32)

//go:wasmimport wasi:io/error@0.2.12 [resource-drop]error
func errorDrop(err int32)

const (
	// writeSize is what `blocking-write-and-flush` takes at once, readSize what is asked for at once.
	writeSize = 4096
	readSize  = 64 << 10
)

// methods are the contract's cases, in order; any other comes after them, with its name.
var methods = []string{"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}

// errorCodes are the contract's cases, in order. Of what they carry only the text of the last is read.
var errorCodes = strings.Fields(`DNS-timeout DNS-error destination-not-found destination-unavailable
	destination-IP-prohibited destination-IP-unroutable connection-refused connection-terminated connection-timeout
	connection-read-timeout connection-write-timeout connection-limit-reached TLS-protocol-error TLS-certificate-error
	TLS-alert-received HTTP-request-denied HTTP-request-length-required HTTP-request-body-size
	HTTP-request-method-invalid HTTP-request-URI-invalid HTTP-request-URI-too-long HTTP-request-header-section-size
	HTTP-request-header-size HTTP-request-trailer-section-size HTTP-request-trailer-size HTTP-response-incomplete
	HTTP-response-header-section-size HTTP-response-header-size HTTP-response-body-size
	HTTP-response-trailer-section-size HTTP-response-trailer-size HTTP-response-transfer-coding
	HTTP-response-content-coding HTTP-response-timeout HTTP-upgrade-failed HTTP-protocol-error loop-detected
	configuration-error internal-error`)

// Send sends a request and waits for the whole answer.
func Send(request Request) (Response, *Failure) {
	begin()
	defer end()
	outgoing, failure := makeRequest(request)
	if failure != nil {
		return Response{}, failure
	}
	requestBody(outgoing, result())
	if byteAt(0) != 0 {
		requestDrop(outgoing)
		return Response{}, invalid("the body")
	}
	body := int32(wordAt(4))
	requestSend(outgoing, 0, 0, result())
	if byteAt(0) != 0 {
		outgoingDrop(body)
		return Response{}, errorCodeAt(8)
	}
	future := int32(wordAt(8))
	isTaken := writeBody(body, request.Body)
	pollable := futureSubscribe(future)
	pollableBlock(pollable)
	pollableDrop(pollable)
	futureGet(future, result())
	futureDrop(future)
	// What went wrong with the request says more than that its body was not wanted.
	switch {
	case byteAt(0) == 0 || byteAt(8) != 0:
		return Response{}, failed("the host gave no answer")
	case byteAt(16) != 0:
		return Response{}, errorCodeAt(24)
	}
	answer := int32(wordAt(24))
	defer responseDrop(answer)
	response := Response{Status: int(responseStatus(answer)), Headers: readHeaders(answer)}
	var isWhole bool
	response.Body, isWhole = readBody(answer)
	switch {
	case !isTaken:
		return Response{}, failed("the body was not taken")
	case !isWhole:
		return Response{}, failed("the answer broke off")
	}
	return response, nil
}

func makeRequest(request Request) (int32, *Failure) {
	headers := request.Headers
	if len(request.Body) > 0 {
		headers = append(headers[:len(headers):len(headers)], [2]string{"content-length", strconv.Itoa(len(request.Body))})
	}
	pairs := lowerPairs(headers)
	fieldsFromList(unsafe.Pointer(unsafe.SliceData(pairs)), uint32(len(pairs)), result())
	if byteAt(0) != 0 {
		return 0, invalid("a header")
	}
	outgoing := requestNew(int32(wordAt(4)))
	if !setMethod(outgoing, request.Method) {
		requestDrop(outgoing)
		return 0, invalid("the method")
	}
	if !setURL(outgoing, request.URL) {
		requestDrop(outgoing)
		return 0, invalid("the URL")
	}
	return outgoing, nil
}

func setMethod(request int32, name string) bool {
	for index, known := range methods {
		if known == name {
			return requestSetMethod(request, uint32(index), "") == 0
		}
	}
	return requestSetMethod(request, uint32(len(methods)), name) == 0
}

// setURL sets the scheme, the authority, and the path with the query.
func setURL(request int32, url string) bool {
	scheme := uint32(1)
	rest, ok := strings.CutPrefix(url, "https://")
	if !ok {
		scheme = 0
		if rest, ok = strings.CutPrefix(url, "http://"); !ok {
			return false
		}
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, path := rest, "/"
	if at := strings.IndexAny(rest, "/?"); at >= 0 {
		authority, path = rest[:at], rest[at:]
	}
	return requestSetScheme(request, 1, scheme, "") == 0 &&
		requestSetAuthority(request, 1, authority) == 0 &&
		requestSetPath(request, 1, path) == 0
}

func writeBody(body int32, bytes []byte) bool {
	outgoingWrite(body, result())
	if byteAt(0) != 0 {
		outgoingDrop(body)
		return false
	}
	stream := int32(wordAt(4))
	for len(bytes) > 0 {
		chunk := bytes[:min(len(bytes), writeSize)]
		bytes = bytes[len(chunk):]
		outputWrite(stream, unsafe.Pointer(unsafe.SliceData(chunk)), uint32(len(chunk)), result())
		if byteAt(0) != 0 {
			dropStreamError()
			outputDrop(stream)
			outgoingDrop(body)
			return false
		}
	}
	outputDrop(stream)
	outgoingFinish(body, 0, 0, result())
	return byteAt(0) == 0
}

func readHeaders(answer int32) [][2]string {
	fields := responseHeaders(answer)
	fieldsEntries(fields, result())
	headers := pairsAt(0)
	fieldsDrop(fields)
	return headers
}

// readBody reads to the end, and says whether that was one.
func readBody(answer int32) ([]byte, bool) {
	responseConsume(answer, result())
	if byteAt(0) != 0 {
		return nil, false
	}
	incoming := int32(wordAt(4))
	defer incomingDrop(incoming)
	incomingStream(incoming, result())
	if byteAt(0) != 0 {
		return nil, false
	}
	stream := int32(wordAt(4))
	defer inputDrop(stream)
	var body []byte
	for {
		inputRead(stream, readSize, result())
		if byteAt(0) != 0 {
			return body, dropStreamError()
		}
		body = append(body, bytesAt(4)...)
	}
}

// dropStreamError gives back what a stream-error carries, and says whether the stream was only closed.
func dropStreamError() bool {
	if byteAt(4) != 0 {
		return true
	}
	errorDrop(int32(wordAt(8)))
	return false
}

// errorCodeAt reads an error-code.
func errorCodeAt(offset uintptr) *Failure {
	kind := int(byteAt(offset))
	switch {
	case kind >= len(errorCodes):
		return failed("for an unknown reason")
	case errorCodes[kind] == "HTTP-request-denied" || errorCodes[kind] == "destination-IP-prohibited":
		return &Failure{Case: HTTPDenied}
	case errorCodes[kind] == "HTTP-request-method-invalid" || errorCodes[kind] == "HTTP-request-URI-invalid":
		return invalid("the method or the URL")
	case kind == len(errorCodes)-1 && byteAt(offset+8) != 0:
		return failed(stringAt(offset + 12))
	default:
		return failed(errorCodes[kind])
	}
}

func invalid(what string) *Failure {
	return &Failure{Case: HTTPInvalid, Text: what + " is malformed or may not be given"}
}

func failed(why string) *Failure { return &Failure{Case: HTTPFailed, Text: why} }
