// Package broker holds go-micro's message, so that errors name the type as go-micro's do.
package broker

// Message is what go-micro's HTTP broker posts.
type Message struct {
	Header map[string]string
	Body   []byte
}
