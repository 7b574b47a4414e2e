package logsink

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// maxLine bounds a line. The longest that are meant to be are stacks.
const maxLine = 64 << 10

// Handler renders records on the goroutine that logs, and hands their lines to the
// Sink. It takes no lock that another goroutine could hold for long. The handlers of
// slog write while they hold one: all that log with them wait for the slowest write.
type Handler struct {
	sink    *Sink
	ring    *ring
	format  Format
	enabled slog.Handler // is asked for Enabled alone
	pens    *sync.Pool   // of *pen
}

var _ slog.Handler = (*Handler)(nil)

// Format makes a handler that writes each record to w with one Write of one line, as
// slog's own do. They quote what a record holds, so that nobody can forge a line.
type Format func(w io.Writer) slog.Handler

// pen renders one record at a time.
type pen struct {
	text    bytes.Buffer
	handler slog.Handler
}

func newHandler(s *Sink, r *ring, f Format) *Handler {
	return &Handler{sink: s, ring: r, format: f, enabled: f(io.Discard), pens: &sync.Pool{New: func() any {
		p := &pen{}
		p.handler = f(&p.text)
		return p
	}}}
}

// Own returns a handler with a ring of its own: for a thread that must not wait for
// others that log, nor lose its lines because of theirs.
func (h *Handler) Own() *Handler { return newHandler(h.sink, h.sink.newRing(), h.format) }

// Dropped is the Sink's.
func (h *Handler) Dropped() uint64 { return h.sink.Dropped() }

// Enabled implements slog.Handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.enabled.Enabled(ctx, level)
}

// Handle implements slog.Handler. The error is about rendering; a dropped
// line is not an error.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	p := h.pens.Get().(*pen)
	p.text.Reset()
	err := p.handler.Handle(ctx, r)
	text := bounded(p.text.Bytes())
	if p.text.Cap() <= maxLine {
		defer h.pens.Put(p)
	}
	h.ring.put(line{bytes.Clone(text), r.Time.UnixNano()})
	h.sink.wake()
	return err
}

// bounded is text, cut to maxLine.
func bounded(text []byte) []byte {
	if len(text) > maxLine {
		text = text[:maxLine]
		copy(text[maxLine-len(cut):], cut)
	}
	return text
}

const cut = " [cut]\n"

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return newHandler(h.sink, h.ring, func(w io.Writer) slog.Handler { return h.format(w).WithAttrs(attrs) })
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return newHandler(h.sink, h.ring, func(w io.Writer) slog.Handler { return h.format(w).WithGroup(name) })
}
