package load

import (
	"errors"
	"fmt"
	"io"

	"sallyport/internal/nonblock"

	"golang.org/x/sys/unix"
)

// conn is one connection: a socket, TLS or none over it, and the job's few words.
type conn struct {
	g      *group
	fd     int32
	state  state
	queued bool

	readable, writable, hangup bool

	tls   *client // nil: none is spoken
	out   []byte  // what the socket did not take yet
	in    []byte  // of tls: read from the socket, not yet taken by crypto/tls
	moved int     // in this turn
	// allowed is how many bytes of limited bulk may be moved now (pace.go). Of other jobs,
	// and of a handshake, it has no end.
	allowed int

	began int64 // when the operation was meant to start; 0: none
	due   int64 // when the next message is, of a trickle; 0: none is
	heard bool  // the peer has said something
	need  int   // bytes of the reply that are missing
	part  []byte
}

type state uint8

const (
	connecting state = iota
	shaking          // the TLS handshake
	open
	closed
)

// pump does what can be done without waiting.
func (c *conn) pump() {
	c.moved = 0
	if c.state == connecting && !c.connected() {
		return
	}
	if c.state == shaking && !c.tls.shake() {
		return
	}
	// First what the peer says: an alert is worth more than the EPIPE of a write after it.
	if c.state == open && (c.readable || c.tls != nil) {
		c.receive()
	}
	for c.state == open && c.flush() && c.g.job.drained(c) {
		if c.moved > turn {
			c.g.l.later(c)
			break
		}
	}
}

// connected finds out how the connect ended, and begins what comes next.
func (c *conn) connected() bool {
	if !c.writable {
		return false
	}
	if c.hangup {
		if e := nonblock.Error(c.fd); e != 0 {
			c.g.fail(c, fmt.Errorf("connect: %w", e))
			return false
		}
	}
	l := c.g.l
	if l.opts.TLS == 0 {
		c.out = append(c.out, l.hello...)
		c.up()
		return c.state == open
	}
	c.state = shaking
	c.tls = l.tls.client(c)
	return true
}

// up makes c ready for its job.
func (c *conn) up() {
	c.state = open
	c.g.established(c)
}

// send gives p to the connection. What the socket does not take is kept.
func (c *conn) send(p []byte) {
	if c.tls != nil {
		if err := c.tls.write(p); err != nil {
			c.g.fail(c, err)
			return
		}
		c.flush()
		return
	}
	if len(c.out) > 0 { // such as the hello: one segment, as it would be for a small one
		c.out = append(c.out, p...)
		c.flush()
		return
	}
	n := c.write(p)
	if n < len(p) && c.state == open {
		c.out = append(c.out[:0], p[n:]...)
	}
}

// flush sends what is kept; true means that nothing is left.
func (c *conn) flush() bool {
	if len(c.out) == 0 {
		return true
	}
	n := c.write(c.out)
	if n < len(c.out) {
		c.out = append(c.out[:0], c.out[n:]...)
		return false
	}
	c.out = c.out[:0]
	return true
}

// write gives p to the socket.
func (c *conn) write(p []byte) int {
	if !c.writable || c.state == closed {
		return 0
	}
	n, e := nonblock.Send(c.fd, p)
	if n < len(p) {
		c.writable = false
	}
	if e != 0 && e != unix.EAGAIN {
		c.g.fail(c, fmt.Errorf("write: %w", e))
		return 0
	}
	c.moved += n
	return n
}

// receive reads until the socket has nothing or the turn is over.
func (c *conn) receive() {
	l := c.g.l
	for c.state == open {
		n, err := c.read(l.buf)
		if n > 0 {
			c.hear(l.buf[:n])
			continue
		}
		switch {
		case err == nil:
			if c.moved > turn {
				l.later(c)
			}
			return
		case errors.Is(err, io.EOF) && c.g.job.ended(c):
			return
		case errors.Is(err, io.EOF):
			c.g.fail(c, errEnded)
		default:
			c.g.fail(c, fmt.Errorf("read: %w", err))
		}
	}
}

// hear gives the job what came, unless it is a gateway's refusal.
func (c *conn) hear(p []byte) {
	if !c.heard && c.tls == nil {
		if err := refusal(p); err != nil {
			c.g.fail(c, err)
			return
		}
	}
	c.heard = true
	c.g.job.received(c, p)
}

// read returns bytes of the stream; none and no error when there are none for now.
func (c *conn) read(p []byte) (int, error) {
	if c.tls != nil {
		return c.tls.read(p)
	}
	return c.readSocket(p)
}

func (c *conn) readSocket(p []byte) (int, error) {
	p = p[:min(len(p), c.allowed)]
	if !c.readable || c.moved > turn || len(p) == 0 {
		return 0, nil
	}
	n, e := nonblock.Read(c.fd, p)
	switch {
	case e == unix.EAGAIN:
		c.readable = false
		return 0, nil
	case e != 0:
		return 0, e
	case n == 0:
		return 0, io.EOF
	}
	c.moved += n
	c.allowed -= n
	// A short read has emptied the socket, unless a FIN came with it.
	c.readable = n == len(p) || c.hangup
	return n, nil
}
