package protocol

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"time"
)

const (
	// numberHeader counts the messages of one publish, from 0.
	numberHeader = "Number"
	// replyHeader says where a subscriber that handled the message sends its number, as a datagram.
	replyHeader = "Acknowledge-To"
	// patience is how long a publisher waits for an acknowledgement before it says that the message is lost.
	patience = 10 * time.Second
)

// acknowledger is how a subscriber tells a publisher in another process that it handled a message. go-micro has no
// such thing: to its publisher, nothing is known of what becomes of a message.
type acknowledger struct {
	socket *net.UDPConn
}

func newAcknowledger() (*acknowledger, error) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("cannot listen for acknowledgements: %w", err)
	}
	return &acknowledger{socket}, nil
}

func (a *acknowledger) acknowledge(header map[string]string) {
	address, err := net.ResolveUDPAddr("udp4", header[replyHeader])
	if err != nil || header[replyHeader] == "" {
		return
	}
	// A publisher that is gone does not listen, and that is fine.
	_, _ = a.socket.WriteTo([]byte(header[numberHeader]), address)
}

// wait returns how long the message of this number took, by its time of publishing.
func (a *acknowledger) wait(published map[int]time.Time) (time.Duration, error) {
	buffer := make([]byte, 32)
	for {
		if err := a.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, err
		}
		length, err := a.socket.Read(buffer)
		if err != nil {
			return 0, fmt.Errorf("no acknowledgement of %d messages: %w", len(published), err)
		}
		number, err := strconv.Atoi(string(buffer[:length]))
		if at, ok := published[number]; err == nil && ok {
			delete(published, number)
			return time.Since(at), nil
		}
	}
}

// publish publishes the same body count times: as fast as Publish returns, or one each so many microseconds, or, with
// a window, never more than so many unacknowledged.
func (d *driver) publish(c command, answer line) error {
	var latencies []time.Duration
	outstanding := map[int]time.Time{}
	failed, first := 0, ""
	began := time.Now()
	every := time.Duration(c.EveryMicros) * time.Microsecond
	for number := range max(c.Count, 1) {
		time.Sleep(time.Until(began.Add(every * time.Duration(number))))
		header := maps.Clone(c.Header)
		if header == nil {
			header = map[string]string{}
		}
		if c.Count > 0 {
			header[numberHeader] = strconv.Itoa(number)
		}
		if c.Window > 0 {
			header[replyHeader] = d.acks.socket.LocalAddr().String()
			outstanding[number] = time.Now()
		}
		if err := d.micro.Publish(c.Topic, Message{Header: header, Body: c.Body}); err != nil {
			failed++
			first = cmp.Or(first, err.Error())
			delete(outstanding, number)
		}
		// The last one waits for all.
		limit := c.Window
		if number == c.Count-1 {
			limit = 1
		}
		for c.Window > 0 && len(outstanding) >= limit {
			latency, err := d.acks.wait(outstanding)
			if err != nil {
				return err
			}
			latencies = append(latencies, latency)
		}
	}
	answer["failed"], answer["first_error"] = failed, first
	answer["took_ns"] = time.Since(began).Nanoseconds()
	if c.Window > 0 {
		slices.Sort(latencies)
		answer["p50_ns"], answer["p99_ns"] = percentile(latencies, 50), percentile(latencies, 99)
	}
	return nil
}

func percentile(sorted []time.Duration, percent int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*percent/100].Nanoseconds()
}
