package relay

import (
	"sallyport/internal/nonblock"
	"sallyport/relay/buffer"
)

// A flow is one direction of a connection that is relayed. push moves what can
// be moved now and returns; readiness events call it again. It keeps three
// promises:
//
//   - Back-pressure: nothing is read while the receiver has not taken what was
//     read before, so a slow receiver costs one chunk or one pipe, and its window
//     closes the sender's.
//   - Half-close: the receiver is shut down for writing only after it has taken
//     every byte that came before the EOF; the other direction goes on.
//   - Fairness: after pushBudget bytes the loop turns to its other connections
//     and comes back. One that moved bulkSize last time waits behind those that
//     did not, and has a share of the loop's time: loop.again.

const (
	readSize   = buffer.ReadSize
	readMost   = buffer.ReadMost // tlsflow.go: appetite
	pushBudget = 256 << 10
	bulkSize   = readSize

	// Splicing begins after that many full reads in a row: below, a pipe's extra
	// system calls cost more than the copy they save.
	spliceAfter = 2
)

// pump moves both directions and ends the connection when both are over.
func (c *conn) pump() {
	defer c.endOnPanic()
	before := c.up.bytes + c.down.bytes
	c.noteResets()
	var again bool
	if c.tls != nil {
		again = c.tls.pump(c)
	} else {
		again = c.push(&c.up, &c.client, &c.backend)
		again = c.push(&c.down, &c.backend, &c.client) || again
		if c.oneIsGone() {
			again = c.push(&c.up, &c.client, &c.backend) || again
		}
	}
	moved := c.up.bytes + c.down.bytes - before
	c.bulk = moved >= bulkSize || c.tls != nil && c.tls.heavy()
	if moved > 0 {
		c.last = c.loop.now
	}
	again = c.noteResets() || again
	switch {
	case c.up.over() && c.down.over():
		c.finish()
		return
	case again:
		c.loop.later(c)
	}
	c.loop.unmute(&c.client)
	c.loop.unmute(&c.backend)
}

// noteResets reports whether one of the ends is gone that was not before. One whose
// direction is over is not read any more: only the event shows a reset after its FIN.
func (c *conn) noteResets() (news bool) {
	note := func(e *end, f *flow) {
		if e.failed && f.over() && !e.gone {
			e.deaf, e.gone, news = true, true, true
		}
	}
	note(&c.client, &c.up)
	note(&c.backend, &c.down)
	return news
}

// oneIsGone reports whether the direction up, which was served first, has yet to
// hear that one of the two ends is gone.
func (c *conn) oneIsGone() bool {
	return !c.up.over() && (c.client.deaf || c.backend.deaf)
}

// push moves one direction of a connection that is passed through; true means
// that it stopped for fairness.
func (c *conn) push(f *flow, from, to *end) bool {
	moved, short := 0, false
	for !f.over() {
		switch {
		case to.deaf:
			c.drop(f, to)
			return false
		case f.chunk != nil:
			if !c.flush(f, to) {
				return false
			}
		case f.pipe != nil:
			if !c.drain(f, to) {
				return false
			}
		case from.over():
			c.ended(from)
			c.passEnd(f, to, from.eof)
			return false
		case !from.readable:
			return false
		// A pipe also is full when its pages are, so a short fill says less than a short
		// read. But if the socket has nothing then, asking it costs less than a splice and a
		// read that find that out: 16 downloads took 278 ms of CPU a GB, and 326 without
		// asking (medians of eight rounds in turn).
		case short && from.drained():
			return false
		case moved >= pushBudget:
			return true
		case f.full >= spliceAfter && c.takePipe(f):
			moved += c.fill(f, from, to)
			short = f.pipe != nil && f.piped < f.pipe.Size
		default:
			moved += c.copy(f, from, to)
		}
	}
	return false
}

// copy moves one buffer by read and write. What the receiver does not take is
// kept.
func (c *conn) copy(f *flow, from, to *end) int {
	l := c.loop
	n := from.read(l.in[:readSize])
	if n == 0 {
		return 0
	}
	if n == readSize {
		f.full = min(f.full+1, spliceAfter)
	} else {
		f.full = 0
	}
	c.count(f, copying, n)
	w := to.write(l.in[:n])
	f.chunk = l.chunks.Keep(nil, l.in[w:n])
	return n
}

// flush writes the kept bytes; false means that some are left.
func (c *conn) flush(f *flow, to *end) bool {
	k := f.chunk
	n := to.write(k.Bytes())
	k.Skip(n)
	if n > 0 {
		c.last = c.loop.now
	}
	if k.Len() > 0 {
		return false
	}
	c.loop.chunks.Put(k)
	f.chunk = nil
	return true
}

// passEnd ends the direction: all that came before is delivered. Its receiver gets a
// FIN if the sender ended it; if it was cut off, part says so.
func (c *conn) passEnd(f *flow, to *end, clean bool) {
	if !clean {
		f.ended = cut
		return
	}
	f.ended = whole
	// The second direction to end needs no FIN of its own: close sends it.
	if c.up.ended != whole || c.down.ended != whole {
		nonblock.ShutdownWrite(to.fd)
	}
}

// drop ends a direction whose receiver is gone, with what it did not take.
func (c *conn) drop(f *flow, to *end) {
	f.ended = cut
	c.ended(to)
	c.loop.release(f)
}

// ended notes how e ended.
func (c *conn) ended(e *end) {
	reset := e.broken || e.deaf
	switch {
	case e == &c.client && reset:
		c.endedBy(ClientReset)
	case e == &c.client:
		c.endedBy(ClientClosed)
	case reset:
		c.endedBy(InstanceReset)
	default:
		c.endedBy(InstanceClosed)
	}
}

// endedBy notes why the connection ends: the first reason stands, but anything is
// worse than an ordinary close, because it may have cost bytes.
func (c *conn) endedBy(r Reason) {
	if c.reason == goOn || c.reason.ordinary() && !r.ordinary() {
		c.reason = r
	}
}

// count adds n bytes to the flow's and the loop's counters.
func (c *conn) count(f *flow, mode relayMode, n int) {
	f.bytes += uint64(n)
	f.mode = max(f.mode, mode)
	dir := 0
	if f == &c.down {
		dir = 1
	}
	c.loop.stats.bytes[dir][mode].Add(uint64(n))
}

// release gives back what a flow holds.
func (l *loop) release(f *flow) {
	l.chunks.Put(f.chunk)
	f.chunk = nil
	if f.pipe != nil {
		l.pipes.Discard(f.pipe)
		f.pipe, f.piped = nil, 0
	}
}
