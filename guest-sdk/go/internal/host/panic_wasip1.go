package host

import (
	"fmt"
	"runtime"
	"strings"
)

// TrapOnPanic is deferred by every export. It logs a panic with its place and traps.
//
// For a panic that the program makes itself the frames that led to it are still on the machine's stack, and the host
// keeps them. For one that Go makes of a fault, such as a nil pointer, Go has unwound that stack before: hence the second
// line, from Go's own.
func TrapOnPanic() {
	if value := recover(); value != nil {
		frames := panicFrames()
		Log(Error, "panic", fmt.Sprintf("panicked at %s: %v", frames[0].place, value))
		calls := make([]string, len(frames))
		for index, frame := range frames {
			calls[index] = fmt.Sprintf("%s (%s)", frame.function, frame.place)
		}
		Log(Error, "panic", "in "+strings.Join(calls, ", called by "))
		Trap()
	}
}

type frame struct{ function, place string }

// panicFrames are the frames from where the panic began, innermost first, without the runtime's and the SDK's.
func panicFrames() []frame {
	// Arbitrary: a line that people can read. Twice the depth of most handlers.
	var callers [40]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers[:])])
	var found []frame
	for {
		next, more := frames.Next()
		if !isOurs(next.Function) {
			found = append(found, frame{next.Function, fmt.Sprintf("%s:%d", next.File, next.Line)})
		}
		if !more {
			break
		}
	}
	if len(found) == 0 {
		return []frame{{"an unknown function", "an unknown place"}}
	}
	return found
}

// isOurs says whether a function is the runtime's, the SDK's or what Go calls an export.
func isOurs(function string) bool {
	for _, prefix := range []string{"runtime.", "hostel.dev/go/", "hostel:handler/"} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
