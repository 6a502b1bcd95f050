package host

import (
	"sync"
	"unsafe"
)

// The host puts what it answers into memory that it asks for by cabi_realloc, in the middle of a call to it. The
// component model forbids to call the host from there, and Go's garbage collector reads the clock. Hence:
//   - small answers come from a chunk that was allocated before the call;
//   - the adapter is told to answer with the time that it was when the call began;
//   - one goroutine calls the host at a time, so that none that runs meanwhile calls it too.

//
// The adapter between WASI preview 1 and 2 asks for memory as well, for good and before Go's runtime has begun: for its
// state and its stack. Growing the memory instead is not open to it, as Go takes everything beyond its data for its own.

// chunkSize holds the answers of dozens of calls; larger ones get memory of their own. Arbitrary.
const chunkSize = 16 << 10

// adapterSize is twice the two pages that the adapter asks for.
const adapterSize = 4 * 65536

var (
	// adapter is the memory for the adapter: of numbers, so that it is aligned for them.
	adapter     [adapterSize / 8]uint64
	adapterUsed uint32
	// calling is held for the length of a call to the host.
	calling sync.Mutex
	// answering is true during a call whose answer needs memory.
	answering bool
	// area is where the host puts results that are no single number. Not on a stack: stacks move when they grow.
	area [8]uint64
	// chunk is what is left of the memory for small answers. Never used twice: answers are handed on without a copy.
	chunk []byte
	// held keeps alive what the host alone knows of.
	held []unsafe.Pointer
	// empty is where answers without bytes are.
	empty uint64
)

//go:wasmimport wasi_snapshot_preview1 adapter_monotonic_clock_set_paused
func pauseClock(paused int32)

//go:wasmexport cabi_realloc
//go:nosplit
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	// Nothing in the contract needs an alignment of more than eight.
	size = (size + 7) &^ 7
	if answering {
		return answer(old, oldSize, size)
	}
	// Nothing of Go may be used here but memory that is there.
	if oldSize != 0 || size > adapterSize-adapterUsed {
		trap()
	}
	fresh := unsafe.Add(unsafe.Pointer(&adapter), adapterUsed)
	adapterUsed += size
	return fresh
}

func answer(old unsafe.Pointer, oldSize, size uint32) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(&empty)
	}
	var fresh unsafe.Pointer
	if int(size) <= len(chunk) {
		fresh = unsafe.Pointer(unsafe.SliceData(chunk))
		chunk = chunk[size:]
	} else {
		fresh = unsafe.Pointer(unsafe.SliceData(make([]uint64, size/8)))
	}
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(fresh), size), unsafe.Slice((*byte)(old), oldSize))
	}
	held = append(held, fresh)
	return fresh
}

// begin starts a call whose answer needs memory.
func begin() {
	calling.Lock()
	if len(chunk) < chunkSize/4 {
		// Of numbers, so that it is aligned for them.
		chunk = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(make([]uint64, chunkSize/8)))), chunkSize)
	}
	pauseClock(1)
	answering = true
}

// end ends it, once everything was taken out of the area.
func end() {
	answering = false
	pauseClock(0)
	clear(held)
	held = held[:0]
	calling.Unlock()
}

// result is where the host puts its answer.
func result() unsafe.Pointer { return unsafe.Pointer(&area) }

func byteAt(offset uintptr) uint8 { return *(*uint8)(unsafe.Add(result(), offset)) }

func wordAt(offset uintptr) uint32 { return *(*uint32)(unsafe.Add(result(), offset)) }

func numberAt(offset uintptr) uint64 { return *(*uint64)(unsafe.Add(result(), offset)) }

// pointer makes one of what the host knows as a number.
func pointer(address uint32) unsafe.Pointer {
	// By way of memory: the address is one that realloc gave, and is still held.
	wide := uintptr(address)
	return *(*unsafe.Pointer)(unsafe.Pointer(&wide))
}

// bytesAt takes a list of bytes, without a copy: nobody else has this memory.
func bytesAt(offset uintptr) []byte {
	return unsafe.Slice((*byte)(pointer(wordAt(offset))), wordAt(offset+4))
}

func stringAt(offset uintptr) string {
	return unsafe.String((*byte)(pointer(wordAt(offset))), wordAt(offset+4))
}

// pair is a tuple of two strings: address and length of each.
type pair [4]uint32

func pairsAt(offset uintptr) [][2]string {
	pairs := unsafe.Slice((*pair)(pointer(wordAt(offset))), wordAt(offset+4))
	strings := make([][2]string, len(pairs))
	for index, pair := range pairs {
		for side := range 2 {
			strings[index][side] = unsafe.String((*byte)(pointer(pair[2*side])), pair[2*side+1])
		}
	}
	return strings
}

// lowerPairs writes strings into memory that is held until the call has ended, and describes where they are.
func lowerPairs(strings [][2]string) []pair {
	size := 0
	for _, two := range strings {
		size += len(two[0]) + len(two[1])
	}
	// Never empty, so that there is an address.
	text := make([]byte, 0, size+1)
	held = append(held, unsafe.Pointer(unsafe.SliceData(text)))
	pairs := make([]pair, len(strings), len(strings)+1)
	for index, two := range strings {
		for side := range 2 {
			address := uintptr(unsafe.Pointer(unsafe.SliceData(text))) + uintptr(len(text))
			pairs[index][2*side] = uint32(address)
			pairs[index][2*side+1] = uint32(len(two[side]))
			text = append(text, two[side]...)
		}
	}
	return pairs
}
