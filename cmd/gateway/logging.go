package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"sallyport/config"
)

// newLogger makes the logger that the configuration asks for. The level may be
// changed while it is used.
func newLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level)
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, opts)), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

// onSignal calls f for each sig, one after the other, until the returned function is called,
// which waits for the last call.
func onSignal(sig syscall.Signal, f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// toggleDebug switches between the configured level and debug.
func toggleDebug(log *slog.Logger, level *slog.LevelVar, configured slog.Level) {
	if level.Level() != slog.LevelDebug {
		level.Set(slog.LevelDebug)
	} else {
		level.Set(configured)
	}
	log.Warn("log level changed by SIGUSR1", "level", level.Level().String())
}
