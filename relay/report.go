package relay

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// The log has one line for a connection, at its end. Strangers can make as many refused
// connections as they like. So of those that ended before they were relayed,
// and of all where there is no access log, the first linesPerSecond of a second and
// reason have a line; the others are counted, and one line says how many they were.

const linesPerSecond = 10

// report counts the connection under its reason and writes its line.
func (c *conn) report() {
	l := c.loop
	l.stats.ended[c.mode][c.reason].Add(1)
	switch level := c.reason.level(); {
	case c.log == nil && level <= slog.LevelDebug:
	case (c.log == nil || c.phase != relaying) && !l.engine.samples[c.reason].take(l.engine.second()):
	case c.log == nil:
		l.log.Log(context.Background(), level, "connection ended", "client", c.addr.String(), "reason", c.reason.String())
	default:
		c.writeAccessLine()
	}
}

func (c *conn) writeAccessLine() {
	l, r := c.loop, c.log
	l.log.LogAttrs(context.Background(), slog.LevelInfo, "connection",
		slog.String("client", c.addr.String()),
		slog.String("server_name", r.serverName),
		slog.String("app", r.app),
		slog.String("instance", r.instance),
		slog.String("mode", c.mode.String()),
		slog.String("relay", max(c.up.mode, c.down.mode).String()),
		slog.Uint64("bytes_up", c.up.bytes),
		slog.Uint64("bytes_down", c.down.bytes),
		slog.Duration("duration", time.Duration(l.clock()-r.began)),
		slog.String("ended_by", c.reason.Party().String()),
		slog.String("reason", c.reason.String()),
		slog.String("detail", r.detail))
}

// samples are the connections that had a line and those that had none, by reason.
type samples [reasons]sample

// sample lets linesPerSecond lines of a second through. Its methods are called by all
// loops.
type sample struct {
	state  atomic.Int64 // the second, times 1<<8, and how many lines it had
	hidden atomic.Int64 // how many had none since that was logged
}

// take reports whether one more line of this second is to be written, and counts it.
func (s *sample) take(second int64) bool {
	for {
		old := s.state.Load()
		next := old + 1
		switch {
		case old>>8 != second:
			next = second<<8 + 1
		case old&0xff == linesPerSecond:
			s.hidden.Add(1)
			return false
		}
		if s.state.CompareAndSwap(old, next) {
			return true
		}
	}
}

// second is the present one, counted from the engine's beginning; never 0.
func (e *Engine) second() int64 { return int64(time.Since(e.began)/time.Second) + 1 }

// reportHidden logs each second how many connections had no line of their own, until
// ended is closed.
func (e *Engine) reportHidden(ended <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ended:
			e.reportHiddenNow()
			return
		}
		e.reportHiddenNow()
	}
}

func (e *Engine) reportHiddenNow() {
	for r := range e.samples {
		if n := e.samples[r].hidden.Swap(0); n > 0 {
			level := max(Reason(r).level(), slog.LevelInfo)
			e.opts.Log.Log(context.Background(), level, "more connections ended for this reason than are logged one by one",
				"reason", Reason(r).String(), "connections", n)
		}
	}
}
