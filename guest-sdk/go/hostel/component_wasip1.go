package hostel

import (
	"log/slog"
	"unsafe"

	"hostel.dev/go/internal/host"
)

func init() { slog.SetDefault(Log()) }

//go:wasmexport hostel:handler/subscriber@0.1.0#handle
func exportHandle(event int32) unsafe.Pointer {
	defer host.TrapOnPanic()
	delivery := host.Lent(event)
	err := Deliver(delivery, registered)
	delivery.GiveBack()
	switch advice := adviceOf(err); {
	case err == nil:
		return host.Done()
	case advice.reject:
		return host.Rejected(err.Error())
	case advice.timed:
		ms := millis(advice.after)
		return host.Retried(err.Error(), &ms)
	default:
		return host.Retried(err.Error(), nil)
	}
}
