// The driver over go-micro v2. The files of the versions differ in what they import and in what go-micro renamed.
package main

import (
	"context"
	"fmt"

	"github.com/golang/protobuf/ptypes/wrappers"
	"github.com/micro/go-micro/v2"
	"github.com/micro/go-micro/v2/broker"
	"github.com/micro/go-micro/v2/client"
	"github.com/micro/go-micro/v2/metadata"
	"github.com/micro/go-micro/v2/registry"
	"github.com/micro/go-micro/v2/server"
	"hostel.test/protocol"
)

func main() {
	protocol.Main("v2", connect)
}

type driver struct {
	registry      registry.Registry
	broker        broker.Broker
	service       micro.Service
	serves        bool
	subscriptions []broker.Subscriber
}

func connect(settings protocol.Settings) (protocol.Micro, error) {
	registry := registry.NewRegistry()
	broker := broker.NewBroker(
		broker.Registry(registry), broker.Addrs(settings.Address), broker.Secure(settings.Secure),
	)
	// The order matters: the service hands its registry to its broker, which must not be connected yet.
	service := micro.NewService(
		micro.Name("gomicro.driver"), micro.Address("127.0.0.1:0"), micro.Broker(broker), micro.Registry(registry),
	)
	return &driver{registry: registry, broker: broker, service: service}, broker.Connect()
}

func (d *driver) Subscribe(topic, queue string, handle func(protocol.Message) error) error {
	var options []broker.SubscribeOption
	if queue != "" {
		options = append(options, broker.Queue(queue))
	}
	subscription, err := d.broker.Subscribe(topic, func(event broker.Event) error {
		message := event.Message()
		return handle(protocol.Message{Header: message.Header, Body: message.Body})
	}, options...)
	if err == nil {
		d.subscriptions = append(d.subscriptions, subscription)
	}
	return err
}

func (d *driver) Publish(topic string, message protocol.Message) error {
	return d.broker.Publish(topic, &broker.Message{Header: message.Header, Body: message.Body})
}

func (d *driver) Serve(subscribers []protocol.Subscriber, handle func(protocol.Decoded) error) error {
	for _, subscriber := range subscribers {
		var options []server.SubscriberOption
		if subscriber.Queue != "" {
			options = append(options, server.SubscriberQueue(subscriber.Queue))
		}
		function, err := typed(subscriber, handle)
		if err != nil {
			return err
		}
		if err := micro.RegisterSubscriber(subscriber.Topic, d.service.Server(), function, options...); err != nil {
			return err
		}
	}
	d.serves = true
	return d.service.Server().Start()
}

// typed returns what go-micro takes for a subscriber of the type: it chooses the codec's target by the argument.
func typed(subscriber protocol.Subscriber, handle func(protocol.Decoded) error) (any, error) {
	decoded := func(ctx context.Context, greeting protocol.Greeting) error {
		header, _ := metadata.FromContext(ctx)
		return handle(protocol.Decoded{
			Topic: subscriber.Topic, Type: subscriber.Type, Greeting: greeting, Header: header,
		})
	}
	switch subscriber.Type {
	case "json":
		return func(ctx context.Context, event *protocol.Greeting) error { return decoded(ctx, *event) }, nil
	case "protobuf":
		return func(ctx context.Context, event *wrappers.StringValue) error {
			return decoded(ctx, protocol.Greeting{Text: event.Value})
		}, nil
	}
	return nil, fmt.Errorf("there is no type %q", subscriber.Type)
}

func (d *driver) ClientPublish(
	topic, kind string, greeting protocol.Greeting, header map[string]string,
) error {
	var payload any = &greeting
	if kind == "protobuf" {
		payload = &wrappers.StringValue{Value: greeting.Text}
	}
	contentType := func(options *client.MessageOptions) { options.ContentType = "application/" + kind }
	ctx := metadata.NewContext(context.Background(), header)
	return d.service.Client().Publish(ctx, client.NewMessage(topic, payload, contentType))
}

func (d *driver) Services(name string) (any, error) {
	if name == "" {
		return d.registry.ListServices()
	}
	return d.registry.GetService(name)
}

func (d *driver) Watch(name string) (func() (string, any, error), error) {
	var options []registry.WatchOption
	if name != "" {
		options = append(options, registry.WatchService(name))
	}
	watcher, err := d.registry.Watch(options...)
	if err != nil {
		return nil, err
	}
	return func() (string, any, error) {
		change, err := watcher.Next()
		if err != nil {
			return "", nil, err
		}
		return change.Action, change.Service, nil
	}, nil
}

func (d *driver) Close() error {
	for _, subscription := range d.subscriptions {
		if err := subscription.Unsubscribe(); err != nil {
			return err
		}
	}
	if d.serves {
		// The server disconnects the broker, which it shares.
		return d.service.Server().Stop()
	}
	return d.broker.Disconnect()
}
