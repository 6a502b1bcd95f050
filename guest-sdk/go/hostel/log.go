package hostel

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"hostel.dev/go/internal/host"
)

// LevelTrace is the level below slog.LevelDebug that the host knows.
const LevelTrace = slog.LevelDebug - 4

// Log is a logger that writes to the host. In a component it is slog's default, so that slog.Info does the same.
func Log() *slog.Logger { return slog.New(LogHandler()) }

// LogHandler hands every record to the host: the message, and after it the attributes as slog.TextHandler writes them.
// The context of the line is the function that logged.
func LogHandler() slog.Handler {
	buffer := new(bytes.Buffer)
	options := slog.HandlerOptions{Level: slog.Level(-1 << 31)}
	return &logHandler{new(sync.Mutex), buffer, slog.NewTextHandler(buffer, &options)}
}

// logHandler writes the attributes into a buffer that it shares with the handlers made of it.
type logHandler struct {
	guard      *sync.Mutex
	buffer     *bytes.Buffer
	attributes slog.Handler
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *logHandler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &logHandler{h.guard, h.buffer, h.attributes.WithAttrs(attributes)}
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.guard, h.buffer, h.attributes.WithGroup(name)}
}

func (h *logHandler) Handle(ctx context.Context, record slog.Record) error {
	h.guard.Lock()
	defer h.guard.Unlock()
	h.buffer.Reset()
	text, level, pc := record.Message, record.Level, record.PC
	// Left out or empty is what the host knows without it; of that the line begins with `level=INFO msg=""`.
	record.Time, record.Message = time.Time{}, ""
	if err := h.attributes.Handle(ctx, record); err != nil {
		return err
	}
	_, attributes, _ := bytes.Cut(h.buffer.Bytes(), []byte(`msg=""`))
	if attributes = bytes.TrimSpace(attributes); len(attributes) > 0 {
		text += " " + string(attributes)
	}
	host.Log(hostLevel(level), logger(pc), text)
	return nil
}

func hostLevel(level slog.Level) uint8 {
	switch {
	case level >= slog.LevelError:
		return host.Error
	case level >= slog.LevelWarn:
		return host.Warn
	case level >= slog.LevelInfo:
		return host.Info
	case level >= slog.LevelDebug:
		return host.Debug
	default:
		return host.Trace
	}
}

// logger is the function that logged; package log does not tell.
func logger(pc uintptr) string {
	if pc == 0 {
		return "log"
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return frame.Function
}
