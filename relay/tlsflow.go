package relay

import (
	"errors"
	"io"

	"sallyport/internal/nonblock"
	"sallyport/relay/buffer"
)

// The two directions of a connection whose TLS ends here. They keep the promises
// of flow.go: back-pressure, half-close, fairness.

// maxAnswers is how much TLS itself may have to say to a client that does not read,
// in bytes, before the client is not read either: each KeyUpdate that it sends asks
// for an answer. What the backend has to say does not count: the two directions are
// independent.
const maxAnswers = 16 << 10

// appetite is how much f reads at once: the more, the more often in a row its receiver
// took all of a full read. Larger sends are fewer, and make longer segments: 16
// downloads took 952 ms of CPU a GB with 64 KiB, and 793 with up to 512. What a receiver
// does not take is kept in memory, so that one which stops has the least again.
func (l *loop) appetite(f *flow) int {
	if l.chunks.Scarce() {
		return readSize
	}
	return readSize << f.full
}

// fed notes what came of a read of size: n bytes, of which the receiver took all or not.
func (f *flow) fed(n, size int, all bool) {
	switch {
	case !all:
		f.full = 0
	case n == size:
		f.full = min(f.full+1, buffer.GrowMost)
	}
}

// portion is how much of size goes to t's peer at once: no more than a turn of its records.
func (t *tlsSide) portion(size int) int {
	if t.limit > 0 {
		return min(size, turnRecords*t.limit)
	}
	return size
}

// pump moves both directions; true means that one stopped for fairness.
func (t *tlsSide) pump(c *conn) bool {
	t.wire.turn = turn{}
	if t.instance != nil {
		t.instance.wire.turn = turn{}
		return t.repump(c)
	}
	again := t.decrypt(c)
	clogged := t.wire.clogged()
	again = t.encrypt(c) || again
	if c.oneIsGone() || clogged && !t.wire.clogged() {
		again = t.decrypt(c) || again
		t.wire.flush()
	}
	return again
}

// heavy reports whether the last pump was much work, however little it moved.
func (t *tlsSide) heavy() bool {
	return t.wire.turn.heavy() || t.instance != nil && t.instance.wire.turn.heavy()
}

// decrypt moves client to backend. crypto/tls may hold bytes that it has read and
// not yet given, so it is asked whether the socket is readable or not.
func (t *tlsSide) decrypt(c *conn) bool {
	f, to := &c.up, &c.backend
	moved := 0
	for !f.over() {
		switch {
		case to.deaf:
			c.drop(f, to)
			return false
		case f.chunk != nil:
			if !c.flush(f, to) {
				return false
			}
		case t.over:
			c.passEnd(f, to, t.ended())
			return false
		case t.wire.clogged():
			return false
		case moved >= pushBudget:
			return true
		default:
			size := c.loop.appetite(f)
			n := t.read(c, size)
			if n == 0 && !t.over {
				return t.wire.turn.over()
			}
			c.count(f, crypting, n)
			w := to.write(c.loop.in[:n])
			f.fed(n, size, w == n)
			f.chunk = c.loop.chunks.Keep(nil, c.loop.in[w:n])
			moved += n
		}
	}
	return false
}

// read takes as much plaintext as there is into the loop's buffer, up to size. It notes
// the peer's last word and its kind in c.reason.
func (t *tlsSide) read(c *conn, size int) int {
	n := 0
	for p := c.loop.in[:size]; n < len(p); {
		m, err := t.conn.Read(p[n:])
		n += m
		if m > 0 {
			t.wire.empties.used++
			t.wire.empties.gave += m
		}
		if err == nil {
			continue
		}
		if errors.Is(err, wouldBlock) {
			break
		}
		t.over = true
		switch {
		case t.wire.eof: // crypto/tls calls it EOF, or unexpected inside a record
			c.endedBy(t.means.truncated)
		case errors.Is(err, io.EOF): // close_notify
			t.clean = true
			c.endedBy(t.means.closed)
		case t.wire.end.broken:
			c.endedBy(t.means.reset)
		default:
			if errors.Is(err, errRecords) {
				c.endedBy(t.means.empty)
			} else {
				c.endedBy(t.means.bad)
			}
			// crypto/tls has written its alert; nothing else may follow.
			if t.wire.flush() {
				nonblock.ShutdownWrite(t.wire.end.fd)
			}
			t.wire.end.deaf = true
		}
		break
	}
	return n
}

// ended reports whether the peer itself has ended its stream. One that sends FIN without
// close_notify is common, so it counts, and every byte before it; only the reason shows it.
func (t *tlsSide) ended() bool { return t.clean || t.wire.eof }

// encrypt moves backend to client.
func (t *tlsSide) encrypt(c *conn) bool {
	f, l := &c.down, c.loop
	moved := 0
	for !f.over() {
		switch {
		case c.client.deaf:
			t.wire.dropOut()
			c.drop(f, &c.client)
			return false
		case t.wire.out != nil:
			if !t.wire.flush() && !c.client.deaf {
				return false
			}
		case t.bye:
			t.wire.silent = true
			c.passEnd(f, &c.client, true)
			return false
		case c.backend.eof:
			c.ended(&c.backend)
			t.sayBye(true)
		case c.backend.broken:
			c.ended(&c.backend)
			c.passEnd(f, &c.client, false)
			return false
		case !c.backend.readable:
			return false
		case moved >= pushBudget, t.wire.turn.made >= turnRecords:
			return true
		default:
			size := t.portion(l.appetite(f))
			n := c.backend.read(l.in[:size])
			if n > 0 {
				moved += n
				c.count(f, crypting, n)
				t.write(c, l.in[:n])
				f.fed(n, size, t.wire.out == nil)
			}
		}
	}
	return false
}

// write encrypts p and sends it in one go; what the socket does not take is kept. A peer
// that wants small records gets them, though crypto/tls does not say that it knows the
// extension: smaller is always allowed. Messages of the handshake stay whole: small
// clients are the ones that cannot join their pieces (Mbed TLS before 3.6.3).
func (t *tlsSide) write(c *conn, p []byte) {
	l := c.loop
	l.out = l.out[:0]
	t.wire.direct = true
	var err error
	for err == nil && len(p) > 0 {
		n := len(p)
		if t.limit > 0 {
			n = min(n, t.limit)
		}
		_, err = t.conn.Write(p[:n])
		p = p[n:]
		t.wire.turn.made++
	}
	t.wire.direct = false
	n := t.wire.end.write(l.out)
	t.wire.out = l.chunks.Keep(nil, l.out[n:])
	if err != nil { // its alert is among what was just written
		c.endedBy(t.means.bad)
		t.wire.end.deafen()
	}
}

// sayBye puts the close_notify behind what was written, but only if the other side
// came to a clean end: a peer must be able to detect a stream that was cut off.
func (t *tlsSide) sayBye(clean bool) {
	t.bye = true
	if clean {
		// An error says that TLS has ended before; then there is nothing to say.
		_ = t.conn.CloseWrite()
	}
}

// release gives back the buffers of t, and of the instance's side: its stream is cut
// off, and may be seen to be.
func (t *tlsSide) release() {
	t.wire.release()
	if t.instance != nil {
		t.instance.wire.release()
	}
}
