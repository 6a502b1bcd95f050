package host

import "unsafe"

// returned is what an export hands to the host: it reads it after the export has returned. Laid out as the contract's
// result<_, failure>, which is aligned for a u64 as the slice beside it is; that of init uses the first words of it.
var returned struct {
	words [10]uint32
	// text keeps alive what the words point to, until the next export returns.
	text []byte
}

// Done is the result of an export that went well.
func Done() unsafe.Pointer {
	returned.words[0] = 0
	return unsafe.Pointer(&returned.words)
}

// Rejected is the result of a handler that rejects.
func Rejected(reason string) unsafe.Pointer {
	words := fail(reason, 4)
	words[2] = 1
	return unsafe.Pointer(words)
}

// Retried is the result of a handler that asks for another attempt, after a time if there is one.
func Retried(reason string, afterMs *uint64) unsafe.Pointer {
	words := fail(reason, 4)
	words[2], words[6] = 0, 0
	if afterMs != nil {
		words[6] = 1
		words[8], words[9] = uint32(*afterMs), uint32(*afterMs>>32)
	}
	return unsafe.Pointer(words)
}

// Unprepared is the result of an init that failed.
func Unprepared(reason string) unsafe.Pointer { return unsafe.Pointer(fail(reason, 1)) }

// fail writes that it failed, and where the reason is.
func fail(reason string, at int) *[10]uint32 {
	returned.text = append(make([]byte, 0, len(reason)+1), reason...)
	returned.words[0] = 1
	returned.words[at] = uint32(uintptr(unsafe.Pointer(unsafe.SliceData(returned.text))))
	returned.words[at+1] = uint32(len(reason))
	return &returned.words
}
