package relay

import (
	"math"
	"time"

	"sallyport/internal/nonblock"
)

// A connection is visited every eighth of the idle time, and the visit compares its last
// progress with the clock. Moving a byte costs one store, never a list operation; a
// connection ends at most an eighth late. The first visit also guards the backend's
// socket: a connection that is over by then is spared five system calls.
//
// The kernel may hold megabytes of what was moved, and it is progress when a slow
// receiver takes of them, though nothing more is moved until there is room for much. So a
// visit asks what the two sockets have not been acknowledged.

const (
	idleChecks = 8
	idleVisit  = 30 * time.Second // at the latest
)

func idleVisitEvery(idle time.Duration) time.Duration {
	if idle == 0 {
		return idleVisit
	}
	return min(idleVisit, max(idle/idleChecks, time.Millisecond))
}

// visitIdle ends c if nothing moved for the idle time.
func (c *conn) visitIdle() {
	l := c.loop
	c.noteAcknowledged(nonblock.Unsent(c.client.fd) + nonblock.Unsent(c.backend.fd))
	idle := int64(l.engine.opts.Timeouts.Idle)
	if idle > 0 && l.now-c.last >= idle && !c.queued {
		c.end(IdleTimeout)
		return
	}
	if !c.guarded {
		c.guarded = true
		l.engine.guard(c.backend.fd)
	}
	l.arm(&c.timer, timerIdle)
}

// noteAcknowledged notes how many bytes are under way, which is progress if they are
// fewer than they were.
func (c *conn) noteAcknowledged(left int) {
	if left < int(c.unsent) {
		c.last = c.loop.now
	}
	c.unsent = int32(min(left, math.MaxInt32))
}
