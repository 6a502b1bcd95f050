package protocol

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// command is a line that a driver reads. Each is answered by one line whose "did" is its "do".
type command struct {
	Do          string            `json:"do"`
	Name        string            `json:"name"`
	Topic       string            `json:"topic"`
	Queue       string            `json:"queue"`
	Type        string            `json:"type"`
	Header      map[string]string `json:"header"`
	Body        []byte            `json:"body"`
	Count       int               `json:"count"`
	Window      int               `json:"window"`
	EveryMicros int64             `json:"every_us"`
	Greeting    Greeting          `json:"greeting"`
	Subscribers []Subscriber      `json:"subscribers"`
	Fail        bool              `json:"fail"`
	SlowMillis  int64             `json:"slow_ms"`
	// Relayed leaves acknowledging to whoever reads what a subscriber saw.
	Relayed bool `json:"relayed"`
}

// line is one that a driver writes.
type line map[string]any

type driver struct {
	micro    Micro
	writing  sync.Mutex
	out      *json.Encoder
	received atomic.Int64
	fail     atomic.Bool
	slow     atomic.Int64
	acks     *acknowledger
}

// Main runs a driver until it is told to quit or nobody talks to it any more.
func Main(version string, connect func(Settings) (Micro, error)) {
	var settings Settings
	flag.StringVar(&settings.Address, "address", "127.0.0.1:0", "where the broker listens")
	flag.BoolVar(&settings.Secure, "secure", false, "use TLS between brokers")
	flag.Parse()
	// Libraries that print must not spoil the lines.
	lines := os.Stdout
	os.Stdout = os.Stderr
	if err := run(version, settings, connect, os.Stdin, lines); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(version string, settings Settings, connect func(Settings) (Micro, error), in io.Reader, out io.Writer) error {
	micro, err := connect(settings)
	if err != nil {
		return fmt.Errorf("cannot connect the broker: %w", err)
	}
	acks, err := newAcknowledger()
	if err != nil {
		return err
	}
	driver := &driver{micro: micro, out: json.NewEncoder(out), acks: acks}
	driver.say(line{"did": "start", "version": version})
	err = driver.obey(in)
	if closed := micro.Close(); err == nil {
		err = closed
	}
	driver.say(line{"did": "quit", "error": text(err)})
	return err
}

// say returns when the line is out: a message whose subscriber is killed has been said before it was answered.
func (d *driver) say(said line) {
	d.writing.Lock()
	defer d.writing.Unlock()
	// Whoever no longer listens has closed stdin as well, and that ends the driver.
	_ = d.out.Encode(said)
}

func (d *driver) obey(in io.Reader) error {
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields()
	for {
		var command command
		if err := decoder.Decode(&command); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot read a command: %w", err)
		}
		if command.Do == "quit" {
			return nil
		}
		answer := line{}
		err := d.act(command, answer)
		answer["did"], answer["error"] = command.Do, text(err)
		d.say(answer)
	}
}

func (d *driver) act(c command, answer line) error {
	switch c.Do {
	case "subscribe":
		return d.micro.Subscribe(c.Topic, c.Queue, func(message Message) error {
			return d.heard(c, message)
		})
	case "fail":
		d.fail.Store(c.Fail)
		return nil
	case "slow":
		d.slow.Store(c.SlowMillis)
		return nil
	case "count":
		answer["received"] = d.received.Load()
		return nil
	case "publish":
		return d.publish(c, answer)
	case "serve":
		return d.micro.Serve(c.Subscribers, d.decoded)
	case "client-publish":
		return d.micro.ClientPublish(c.Topic, c.Type, c.Greeting, c.Header)
	case "services":
		services, err := d.micro.Services(c.Name)
		answer["services"] = services
		return err
	case "watch":
		return d.watch(c.Name)
	}
	return fmt.Errorf("there is no command %q", c.Do)
}

func (d *driver) heard(c command, message Message) error {
	at := time.Now().UnixNano()
	if slow := d.slow.Load(); slow > 0 {
		time.Sleep(time.Duration(slow) * time.Millisecond)
	}
	d.received.Add(1)
	d.say(line{
		"saw": "message", "topic": c.Topic, "queue": c.Queue, "header": message.Header, "body": message.Body, "at": at,
	})
	if !c.Relayed {
		d.acks.acknowledge(message.Header)
	}
	return d.failure()
}

func (d *driver) decoded(event Decoded) error {
	d.received.Add(1)
	d.say(line{
		"saw": "decoded", "topic": event.Topic, "type": event.Type, "greeting": event.Greeting, "header": event.Header,
	})
	return d.failure()
}

func (d *driver) failure() error {
	if d.fail.Load() {
		return fmt.Errorf("told to fail")
	}
	return nil
}

func (d *driver) watch(name string) error {
	next, err := d.micro.Watch(name)
	if err != nil {
		return err
	}
	go func() {
		for {
			action, service, err := next()
			if err != nil {
				return
			}
			d.say(line{"saw": "change", "action": action, "service": service})
		}
	}()
	return nil
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
