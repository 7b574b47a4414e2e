package main

import (
	"io"
	"log/slog"

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

// toggleDebug switches between the configured level and debug.
func toggleDebug(log *slog.Logger, level *slog.LevelVar, configured slog.Level) {
	if level.Level() != slog.LevelDebug {
		level.Set(slog.LevelDebug)
	} else {
		level.Set(configured)
	}
	log.Warn("log level changed by SIGUSR1", "level", level.Level().String())
}
