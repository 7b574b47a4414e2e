package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap/zapcore"
)

// The engines' own lines. What matters in them comes back as an error and is logged
// here once, with the name and the next try; the rest is for debugging.

// quiet hands every record on at level debug.
type quiet struct{ slog.Handler }

// Enabled implements slog.Handler.
func (q quiet) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// zapCore gives certmagic's lines, which it writes with zap, to a slog.Handler.
type zapCore struct{ to slog.Handler }

var _ zapcore.Core = zapCore{}

// Enabled implements zapcore.Core.
func (c zapCore) Enabled(zapcore.Level) bool {
	return c.to.Enabled(context.Background(), slog.LevelDebug)
}

// With implements zapcore.Core.
func (c zapCore) With(fields []zapcore.Field) zapcore.Core {
	return zapCore{c.to.WithAttrs(attrs(fields))}
}

// Check implements zapcore.Core.
func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slog.LevelDebug, e.Message, 0)
	r.AddAttrs(attrs(fields)...)
	return c.to.Handle(context.Background(), r)
}

// Sync implements zapcore.Core.
func (zapCore) Sync() error { return nil }

func attrs(fields []zapcore.Field) []slog.Attr {
	list := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		m := zapcore.NewMapObjectEncoder()
		f.AddTo(m)
		for k, v := range m.Fields {
			list = append(list, slog.Any(k, v))
		}
	}
	return list
}
