package load

import (
	"fmt"
	"math"
	"time"

	"sallyport/bench/sock"
	"sallyport/internal/nonblock"
)

// A group is connections that do the same job. It opens them, gives them work when
// it is due, and counts.
//
// With a rate, operation k is meant to start at start + k/rate, whether or not a
// connection is free. One that has to wait is late from that moment: otherwise a
// server that stalls would silence the very requests that would have shown it
// ("coordinated omission").
type group struct {
	l        *loop
	job      job
	size     int // connections
	churn    bool
	idle     bool // opens a share of its connections, as the coordinator wants
	rate     float64
	interval time.Duration // of messages that the peer sends by itself; 0: it does not
	piece    int           // bytes that an operation of limited bulk allows; 0: not limited, or not bulk
	saved    int           // bytes that may be allowed to one connection at most
	conns    map[*conn]struct{}
	opening  int
	free     line  // up, and without an operation
	issued   int64 // operations that were started by the schedule
	failures int   // in a row
	lost     int   // connections that failed and are not replaced
}

// A job is what a connection does once it is up.
type job interface {
	// begin starts an operation; c.began is set.
	begin(c *conn)
	// received takes what came; p is valid during the call.
	received(c *conn, p []byte)
	// drained is called when the socket has taken everything. It may send more, and
	// reports whether it did.
	drained(c *conn) bool
	// ended is called when the peer has ended the stream, and reports whether it
	// was right to do so.
	ended(c *conn) bool
}

// wanted is how many connections shall be open.
func (g *group) wanted() int {
	n := g.size
	if g.idle {
		n = n * int(g.l.phase.want.Load()) / 100
	}
	return n - g.lost
}

// open makes connections as far as they are wanted. Those that do one operation
// each are opened by begin.
func (g *group) open() {
	if g.churn {
		return
	}
	for len(g.conns) < g.wanted() && g.opening < opening && g.l.failed == nil {
		g.dial(0)
	}
}

// dial opens a connection whose operation, if it is part of it, began at began.
func (g *group) dial(began int64) {
	fd, err := sock.Connect(g.l.to)
	if err != nil {
		g.l.fail(g, err)
		return
	}
	if g.l.opts.Nagle {
		err = sock.Nagle(fd)
	}
	c := &conn{g: g, fd: fd, state: connecting, began: began, allowed: math.MaxInt}
	if err == nil {
		err = g.l.poller.Add(fd, c, 0, nonblock.Both)
	}
	if err != nil {
		nonblock.Close(fd)
		g.l.fail(g, err)
		return
	}
	g.conns[c] = struct{}{}
	g.opening++
}

// established is called when c is up.
func (g *group) established(c *conn) {
	g.opening--
	g.l.counters.open.Add(1)
	if g.limited() && !g.restrain(c) {
		return
	}
	switch {
	case g.churn || g.idle:
		g.job.begin(c)
	case g.l.phase.start.Load() == 0 || g.rate > 0:
		g.free.push(c)
	default:
		c.began = g.l.now()
		g.job.begin(c)
	}
}

// begin starts operations that may start now, and returns when the next one may; 0 is
// when an event comes.
func (g *group) begin(now int64) int64 {
	start := g.l.phase.start.Load()
	if start == 0 || g.idle {
		return 0
	}
	for g.room() && g.l.failed == nil {
		at := now
		if g.rate > 0 {
			if at = g.due(start, g.issued); at > now {
				return at
			}
			g.issued++
		}
		g.start(at)
	}
	return 0
}

// room reports whether an operation can start.
func (g *group) room() bool {
	if g.churn {
		return len(g.conns) < g.size
	}
	return g.free.ready()
}

func (g *group) start(at int64) {
	if g.churn {
		g.dial(at)
		return
	}
	c := g.free.pop()
	c.began = at
	g.job.begin(c)
}

// due is when operation k is meant to start.
func (g *group) due(start, k int64) int64 {
	return start + int64(float64(k)*float64(time.Second)/g.rate)
}

// done ends an operation of c, which stays open.
func (g *group) done(c *conn) {
	g.failures = 0
	now := g.l.now()
	g.l.record(c.began, now)
	if g.rate > 0 {
		c.began = 0
		g.free.push(c)
		return
	}
	c.began = now
	g.job.begin(c)
}

// finish ends an operation of c and c with it.
func (g *group) finish(c *conn) {
	g.failures = 0
	g.l.record(c.began, g.l.now())
	c.began = 0
	g.drop(c)
}

// fail ends c because of an error.
func (g *group) fail(c *conn, err error) {
	if c.state == closed {
		return
	}
	g.drop(c)
	if !g.churn {
		g.lost++
	}
	g.l.fail(g, err)
	if g.lost == g.size && g.l.failed == nil && !g.l.opts.Endure {
		g.l.failed = fmt.Errorf("every connection to %s is lost (%s), the last one: %w", g.l.to, g.l.failures, err)
	}
}

func (g *group) drop(c *conn) {
	if c.state == closed {
		return
	}
	if c.state == open {
		g.l.counters.open.Add(-1)
	} else {
		g.opening--
	}
	c.state = closed
	c.tls.stop()
	g.l.poller.Forget(c.fd)
	delete(g.conns, c)
}

// settle counts what was due and has not ended when the counting does: it has taken
// at least until now, and leaving it out would hide a server that has stopped answering.
// An operation that is in progress as it should be does not count: with a schedule that is what is younger
// than the median; without one, younger than any that has ended.
func (g *group) settle(until int64) {
	start := g.l.phase.start.Load()
	if start == 0 || g.idle || g.limited() { // a late piece is not an operation
		return
	}
	usual := int64(g.l.main.Quantile(0.5))
	if g.rate == 0 && g.interval == 0 {
		usual = g.l.main.max
	}
	for c := range g.conns {
		if c.began != 0 {
			g.late(c.began, until, usual)
		}
		for n, at := 0, c.due; at != 0 && at < until && n < maxLate; n++ {
			g.late(at, until, usual)
			at += int64(g.interval)
		}
	}
	for n := 0; g.rate > 0 && n < maxLate; n++ {
		at := g.due(start, g.issued)
		if at >= until {
			break
		}
		g.late(at, until, usual)
		g.issued++
	}
}

// late counts an operation that has not ended; at is when it was meant to start.
func (g *group) late(at, until, usual int64) {
	if took := until - at; took > usual {
		g.l.unended++
		g.l.main.Record(time.Duration(took))
	}
}

// maxLate bounds the work that a server leaves which has stalled for hours.
const maxLate = 20_000_000
