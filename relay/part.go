package relay

import (
	"time"

	"sallyport/internal/nonblock"
)

// The last of a connection that did not come to its end in both directions: one of its
// ends was reset, or it was ended from outside. A peer that was left in the middle of a
// stream must see that: it gets RST, in every mode, and not a FIN, behind which an answer
// that was cut off looks complete.
//
// RST takes away what has not arrived, so it waits until everything that was sent before
// has been acknowledged, a FIN as well. The kernel reports that only
// when it is asked (SIOCOUTQ), so the loop asks, for as long as it becomes less. It asks
// often at first and seldom then: a peer that acknowledges nothing costs 30 visits.

const (
	partVisit = 20 * time.Millisecond // for partSoon since the last progress …
	partSoon  = 200 * time.Millisecond
	partLate  = 500 * time.Millisecond // … and then
	partWait  = 10 * time.Second       // without progress
)

// part closes the ends that wait for nothing more.
func (c *conn) part() {
	l := c.loop
	left := c.partFrom(&c.client) + c.partFrom(&c.backend)
	c.noteAcknowledged(left)
	if left == 0 || l.now-c.last >= int64(partWait) {
		c.close()
		return
	}
	kind := timerPart
	if l.now-c.last >= int64(partSoon) {
		kind = timerPartLate
	}
	l.arm(&c.timer, kind)
}

// partFrom resets e, unless that would cost bytes: it returns how many.
func (c *conn) partFrom(e *end) int {
	if e.fd < 0 {
		return 0
	}
	if n := nonblock.Unsent(e.fd); n > 0 && !e.gone && !e.failed && !c.atOnce() {
		return n
	}
	c.loop.reset(e)
	return 0
}

// atOnce reports whether nothing is waited for any more. A connection ends as idle when
// what is under way has not moved for that long.
func (c *conn) atOnce() bool {
	return c.reason == IdleTimeout || c.reason == Drained || c.loop.engine.hurry.Load()
}

// reset closes e's descriptor with RST, or what stands for it on a bridge.
func (l *loop) reset(e *end) {
	if b := l.bridges[e.fd]; b != nil {
		b.reset.Store(true)
	} else {
		nonblock.ResetOnClose(e.fd)
	}
	l.forget(e.fd)
	e.fd = -1
}
