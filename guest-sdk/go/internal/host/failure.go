// Package host is what stands on the other side: the host's functions in a component, a double of it in a native test.
//
// Both builds offer the same functions, so that package hostel is written once. What the host answers with a variant
// comes as a [Failure]; package hostel knows what each case means.
package host

// Failure is a case of one of the contract's error variants, with what the case carries.
type Failure struct {
	// Case counts from zero, in the order of the contract.
	Case   uint8
	Text   string
	Number uint64
}

// The cases of publish-error.
const (
	Denied uint8 = iota
	Invalid
	TooLarge
	Overloaded
	PublishFailed
)

// The cases of settle-error.
const (
	AlreadySettled uint8 = iota
	SettleFailed
	TooLong
)

// The cases of the error of wasi:keyvalue.
const (
	NoSuchStore uint8 = iota
	AccessDenied
	Other
)

// The levels of wasi:logging.
const (
	Trace uint8 = iota
	Debug
	Info
	Warn
	Error
)

// The kinds of failure of an HTTP request. The contract has many more; these are what a handler can do something about.
const (
	HTTPDenied uint8 = iota
	HTTPInvalid
	HTTPFailed
)

// Request is an HTTP request.
type Request struct {
	Method, URL string
	Headers     [][2]string
	Body        []byte
}

// Response is what was answered.
type Response struct {
	Status  int
	Headers [][2]string
	Body    []byte
}
