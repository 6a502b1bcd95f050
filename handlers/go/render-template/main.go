// Command render-template takes an order as JSON, renders its receipt as HTML and publishes that on receipts.rendered.
//
// What customers typed is escaped by html/template. What is wrong with an order stays wrong: it is rejected, with every
// problem in the reason.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"

	"hostel.dev/go/hostel"
)

const rendered = "receipts.rendered"

// centLimit bounds a price and a count, so that no sum overflows: a thousand items of a million pieces at ten thousand
// in whole money. Arbitrary: more than any order has.
const (
	itemLimit  = 1000
	countLimit = 1_000_000
	centLimit  = 1_000_000
)

//go:embed receipt.html
var text string

var receipt = template.Must(template.New("receipt").Funcs(template.FuncMap{
	"money": func(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) },
	"times": func(one, other int) int { return one * other },
}).Parse(text))

type order struct {
	Number   string `json:"number"`
	Customer string `json:"customer"`
	Items    []item `json:"items"`
}

type item struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
	Cents int    `json:"cents"`
}

func init() { hostel.Handle(handle) }

// Never called: a component has no main program, and Go wants one.
func main() {}

func handle(event *hostel.Event) error {
	var order order
	if err := event.JSON(&order); err != nil {
		return err
	}
	if err := order.check(); err != nil {
		return hostel.Reject(err)
	}
	var page bytes.Buffer
	if err := receipt.Execute(&page, order); err != nil {
		return hostel.Reject(fmt.Errorf("cannot render order %s: %w", order.Number, err))
	}
	_, err := hostel.Publish(rendered, hostel.Message{
		// Another attempt at the same event publishes under the same id, by which its hearers know it.
		ID:      "receipt-" + event.ID(),
		Headers: []hostel.Header{{Name: "Content-Type", Value: "text/html; charset=utf-8"}},
		Body:    page.Bytes(),
	})
	if err != nil {
		return err
	}
	slog.Info("rendered a receipt", "order", order.Number, "items", len(order.Items), "bytes", page.Len())
	return nil
}

// check finds everything that is wrong with an order.
func (o order) check() error {
	var problems []error
	if o.Number == "" {
		problems = append(problems, errors.New("`number` is missing"))
	}
	if o.Customer == "" {
		problems = append(problems, errors.New("`customer` is missing"))
	}
	if len(o.Items) == 0 || len(o.Items) > itemLimit {
		problems = append(problems, fmt.Errorf("`items` has %d entries, not 1 to %d", len(o.Items), itemLimit))
	}
	for index, item := range o.Items {
		if item.Name == "" {
			problems = append(problems, fmt.Errorf("`items[%d].name` is missing", index))
		}
		if item.Count < 1 || item.Count > countLimit {
			problems = append(problems, fmt.Errorf("`items[%d].count` is %d, not 1 to %d", index, item.Count, countLimit))
		}
		if item.Cents < 0 || item.Cents > centLimit {
			problems = append(problems, fmt.Errorf("`items[%d].cents` is %d, not 0 to %d", index, item.Cents, centLimit))
		}
	}
	return errors.Join(problems...)
}

// Total is what the order costs, for the template.
func (o order) Total() int {
	total := 0
	for _, item := range o.Items {
		total += item.Count * item.Cents
	}
	return total
}
