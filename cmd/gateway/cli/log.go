package cli

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sallyport/config"
	"sallyport/internal/logsink"
)

// flushTime is how long the last lines may take. A reader that has stopped must not
// keep the process.
const flushTime = 2 * time.Second

// NewLogger makes the logger that the configuration asks for. It writes to w, on a
// goroutine of its own, so that no caller waits for w. The level may be changed
// while it is used; flush writes the last lines.
func NewLogger(w io.Writer, c config.Log) (log *slog.Logger, level *slog.LevelVar, flush func()) {
	level = new(slog.LevelVar)
	level.Set(c.Level)
	opts := &slog.HandlerOptions{Level: level}
	sink := logsink.New(w, func(w io.Writer) slog.Handler {
		if c.Format == config.FormatJSON {
			return slog.NewJSONHandler(w, opts)
		}
		return slog.NewTextHandler(w, opts)
	})
	return slog.New(sink.Handler()), level, func() { sink.Close(flushTime) }
}

// LogForLong makes log the one of a process that serves: whatever becomes of the
// reader of its lines, the process goes on.
//
// Libraries that use the standard library's logger write to log, at debug level:
// net/http reports a server that speaks out of turn, which a guest's agent may do at
// will. And a write to a closed pipe fails, in place of a signal that ends the process
// (os/signal: SIGPIPE, file descriptors 1 and 2).
func LogForLong(log *slog.Logger) {
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(log)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // a full channel drops signals
}

// ToggleDebug switches between the configured level and debug.
func ToggleDebug(log *slog.Logger, level *slog.LevelVar, configured slog.Level) {
	if level.Level() != slog.LevelDebug {
		level.Set(slog.LevelDebug)
	} else {
		level.Set(configured)
	}
	log.Warn("log level changed by SIGUSR1", "level", level.Level().String())
}
