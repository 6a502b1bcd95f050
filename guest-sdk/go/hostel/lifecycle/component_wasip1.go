package lifecycle

import (
	"unsafe"

	"hostel.dev/go/internal/host"
)

//go:wasmexport hostel:handler/lifecycle@0.1.0#init
func exportInit() unsafe.Pointer {
	defer host.TrapOnPanic()
	if registered == nil {
		return host.Done()
	}
	if err := registered(); err != nil {
		return host.Unprepared(err.Error())
	}
	return host.Done()
}
