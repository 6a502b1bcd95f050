// Package protocol is the part of the drivers that knows no go-micro: what a test can tell a driver to do, line by
// line as JSON, and what the driver says in return. Each version of go-micro is one implementation of Micro.
package protocol

// Settings are what a driver is started with.
type Settings struct {
	// Address is where its broker listens.
	Address string
	// Secure asks for TLS between brokers.
	Secure bool
}

// Message is a raw message of the broker.
type Message struct {
	Header map[string]string
	Body   []byte
}

// Greeting is what travels as JSON in typed events.
type Greeting struct {
	Text   string `json:"text"`
	Number int64  `json:"number"`
}

// Subscriber is what micro.RegisterSubscriber is told.
type Subscriber struct {
	Topic string `json:"topic"`
	Queue string `json:"queue"`
	// Type is "json", for a Greeting, or "protobuf", for a google.protobuf.StringValue.
	Type string `json:"type"`
}

// Decoded is a typed event as a subscriber got it.
type Decoded struct {
	Topic    string
	Type     string
	Greeting Greeting
	Header   map[string]string
}

// Micro is what the drivers ask of go-micro, by its own names.
type Micro interface {
	// Subscribe is broker.Subscribe; an empty queue hears everything.
	Subscribe(topic, queue string, handle func(Message) error) error
	// Publish is broker.Publish.
	Publish(topic string, message Message) error
	// Serve is micro.RegisterSubscriber for each subscriber, and service.Start.
	Serve(subscribers []Subscriber, handle func(Decoded) error) error
	// ClientPublish is client.Publish of a typed event; of a protobuf event only the text travels.
	ClientPublish(topic, kind string, greeting Greeting, header map[string]string) error
	// Services is registry.GetService, or registry.ListServices without a name.
	Services(name string) (any, error)
	// Watch is registry.Watch; next waits for a change.
	Watch(name string) (next func() (action string, service any, err error), err error)
	// Close leaves the registry and closes the broker.
	Close() error
}
