package host

import (
	"errors"
	"unsafe"
)

// The functions of the contract as the canonical ABI has them: strings and lists are an address and a length, and a
// result that is no single number goes where the last argument points. The tool that makes the component compares each
// with the contract and refuses what differs.

//go:wasmimport hostel:handler/events@0.1.0 [method]event.id
func eventID(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.topic
func eventTopic(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.attempt
func eventAttempt(event int32) uint32

//go:wasmimport hostel:handler/events@0.1.0 [method]event.published-at-ms
func eventPublishedAtMs(event int32) uint64

//go:wasmimport hostel:handler/events@0.1.0 [method]event.headers
func eventHeaders(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.header
func eventHeader(event int32, name string, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.body
func eventBody(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.ack
func eventAck(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.error
func eventError(event int32, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [method]event.extend
func eventExtend(event int32, ms uint64, result unsafe.Pointer)

//go:wasmimport hostel:handler/events@0.1.0 [resource-drop]event
func eventDrop(event int32)

//go:wasmimport hostel:handler/publisher@0.1.0 publish
func publisherPublish(topic string, headers unsafe.Pointer, headersLen uint32, body unsafe.Pointer, bodyLen uint32, result unsafe.Pointer)

//go:wasmimport wasi:config/store@0.2.0-rc.1 get
func configGet(key string, result unsafe.Pointer)

//go:wasmimport wasi:logging/logging@0.1.0-draft log
func loggingLog(level uint32, context, text string)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft open
func storeOpen(identifier string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.get
func bucketGet(bucket int32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.set
func bucketSet(bucket int32, key string, value unsafe.Pointer, valueLen uint32, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.delete
func bucketDelete(bucket int32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.exists
func bucketExists(bucket int32, key string, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [method]bucket.list-keys
func bucketListKeys(bucket int32, hasCursor uint32, cursor uint64, result unsafe.Pointer)

//go:wasmimport wasi:keyvalue/store@0.2.0-draft [resource-drop]bucket
func bucketDrop(bucket int32)

//go:wasmimport wasi:keyvalue/atomics@0.2.0-draft increment
func atomicsIncrement(bucket int32, key string, delta uint64, result unsafe.Pointer)

func trap()

// Trap ends the instance, here and now.
func Trap() { trap() }

// Delivery is the event that the host lends.
type Delivery struct{ handle int32 }

// Lent is the delivery behind the number that the host gave.
func Lent(handle int32) Delivery { return Delivery{handle} }

// GiveBack ends the loan. The host traps when a handler keeps one.
func (d Delivery) GiveBack() { eventDrop(d.handle) }

// ID is the event's id.
func (d Delivery) ID() string {
	begin()
	defer end()
	eventID(d.handle, result())
	return stringAt(0)
}

// Topic is the event's topic.
func (d Delivery) Topic() string {
	begin()
	defer end()
	eventTopic(d.handle, result())
	return stringAt(0)
}

// Attempt counts from 1.
func (d Delivery) Attempt() uint32 {
	calling.Lock()
	defer calling.Unlock()
	return eventAttempt(d.handle)
}

// PublishedAtMs is when the event was published.
func (d Delivery) PublishedAtMs() uint64 {
	calling.Lock()
	defer calling.Unlock()
	return eventPublishedAtMs(d.handle)
}

// Headers are all headers in order.
func (d Delivery) Headers() [][2]string {
	begin()
	defer end()
	eventHeaders(d.handle, result())
	return pairsAt(0)
}

// Header is the first of this name.
func (d Delivery) Header(name string) (string, bool) {
	begin()
	defer end()
	eventHeader(d.handle, name, result())
	return optionalStringAt(0)
}

// Body is a new copy of the body.
func (d Delivery) Body() []byte {
	begin()
	defer end()
	eventBody(d.handle, result())
	return bytesAt(0)
}

// LastError is why the last attempt failed.
func (d Delivery) LastError() (string, bool) {
	begin()
	defer end()
	eventError(d.handle, result())
	return optionalStringAt(0)
}

// Ack acknowledges the event.
func (d Delivery) Ack() *Failure {
	begin()
	defer end()
	eventAck(d.handle, result())
	return settleFailure()
}

// Extend moves the deadline.
func (d Delivery) Extend(ms uint64) *Failure {
	begin()
	defer end()
	eventExtend(d.handle, ms, result())
	return settleFailure()
}

// Publish publishes a message and returns the new event's id.
func Publish(topic string, headers [][2]string, body []byte) (string, *Failure) {
	begin()
	defer end()
	pairs := lowerPairs(headers)
	publisherPublish(topic, unsafe.Pointer(unsafe.SliceData(pairs)), uint32(len(pairs)),
		unsafe.Pointer(unsafe.SliceData(body)), uint32(len(body)), result())
	if byteAt(0) == 0 {
		return stringAt(8), nil
	}
	switch kind := byteAt(8); kind {
	case TooLarge, Overloaded:
		return "", &Failure{Case: kind, Number: numberAt(16)}
	default:
		return "", &Failure{Case: kind, Text: stringAt(16)}
	}
}

// Config is the value of a key, if it is set.
func Config(key string) (string, bool, error) {
	begin()
	defer end()
	configGet(key, result())
	if byteAt(0) != 0 {
		return "", false, errors.New(stringAt(8))
	}
	value, ok := optionalStringAt(4)
	return value, ok, nil
}

// Log hands a line to the host.
func Log(level uint8, context, text string) {
	calling.Lock()
	defer calling.Unlock()
	loggingLog(uint32(level), context, text)
}

// Bucket is a key-value bucket of the host.
type Bucket struct{ handle int32 }

// OpenBucket opens one.
func OpenBucket(name string) (Bucket, *Failure) {
	begin()
	defer end()
	storeOpen(name, result())
	if failure := storeFailure(4); failure != nil {
		return Bucket{}, failure
	}
	return Bucket{int32(wordAt(4))}, nil
}

// Get is the value of a key, if there is one.
func (b Bucket) Get(key string) ([]byte, bool, *Failure) {
	begin()
	defer end()
	bucketGet(b.handle, key, result())
	if failure := storeFailure(4); failure != nil || byteAt(4) == 0 {
		return nil, false, failure
	}
	return bytesAt(8), true, nil
}

// Set sets the value of a key.
func (b Bucket) Set(key string, value []byte) *Failure {
	begin()
	defer end()
	bucketSet(b.handle, key, unsafe.Pointer(unsafe.SliceData(value)), uint32(len(value)), result())
	return storeFailure(4)
}

// Delete removes a key.
func (b Bucket) Delete(key string) *Failure {
	begin()
	defer end()
	bucketDelete(b.handle, key, result())
	return storeFailure(4)
}

// Exists says whether a key has a value.
func (b Bucket) Exists(key string) (bool, *Failure) {
	begin()
	defer end()
	bucketExists(b.handle, key, result())
	if failure := storeFailure(4); failure != nil {
		return false, failure
	}
	return byteAt(4) != 0, nil
}

// Keys is one page of keys, and the cursor of the next if there is one.
func (b Bucket) Keys(cursor *uint64) ([]string, *uint64, *Failure) {
	var has uint32
	var from uint64
	if cursor != nil {
		has, from = 1, *cursor
	}
	begin()
	defer end()
	bucketListKeys(b.handle, has, from, result())
	if failure := storeFailure(8); failure != nil {
		return nil, nil, failure
	}
	list := unsafe.Slice((*[2]uint32)(pointer(wordAt(8))), wordAt(12))
	keys := make([]string, len(list))
	for index, key := range list {
		keys[index] = unsafe.String((*byte)(pointer(key[0])), key[1])
	}
	if byteAt(16) == 0 {
		return keys, nil, nil
	}
	next := numberAt(24)
	return keys, &next, nil
}

// Increment adds to the number of a key and returns the sum.
func (b Bucket) Increment(key string, delta uint64) (uint64, *Failure) {
	begin()
	defer end()
	atomicsIncrement(b.handle, key, delta, result())
	if failure := storeFailure(8); failure != nil {
		return 0, failure
	}
	return numberAt(8), nil
}

// Close gives the bucket back.
func (b Bucket) Close() {
	calling.Lock()
	defer calling.Unlock()
	bucketDrop(b.handle)
}

func optionalStringAt(offset uintptr) (string, bool) {
	if byteAt(offset) == 0 {
		return "", false
	}
	return stringAt(offset + 4), true
}

// settleFailure reads a result without a value, or with a settle-error.
func settleFailure() *Failure {
	if byteAt(0) == 0 {
		return nil
	}
	switch kind := byteAt(8); kind {
	case SettleFailed:
		return &Failure{Case: kind, Text: stringAt(16)}
	case TooLong:
		return &Failure{Case: kind, Number: numberAt(16)}
	default:
		return &Failure{Case: kind}
	}
}

// storeFailure reads the error of a result of wasi:keyvalue whose payload has this offset.
func storeFailure(offset uintptr) *Failure {
	if byteAt(0) == 0 {
		return nil
	}
	kind := byteAt(offset)
	if kind == Other {
		return &Failure{Case: kind, Text: stringAt(offset + 4)}
	}
	return &Failure{Case: kind}
}
