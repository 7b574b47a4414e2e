package backend

import (
	"encoding/binary"
	"time"

	"sallyport/internal/nonblock"

	"golang.org/x/sys/unix"
)

// conn is one connection. Its input goes through three states: perhaps a recorded
// hello, perhaps a command, and then what the mode makes of it.
type conn struct {
	s      *Server
	fd     int32
	closed bool
	queued bool

	readable, writable, hangup bool

	skip  int    // bytes of the hello still to come
	begun bool   // the mode is known
	head  []byte // an incomplete hello header or command
	cmd   Command
	got   int    // request bytes of Reply
	out   []byte // what the socket did not take: nothing is read until it is gone
	last  bool   // out is the last
	due   time.Time
}

const (
	recordHeader = 5    // RFC 8446 section 5.1
	handshake    = 0x16 // its content type
)

// pump does what can be done without waiting.
func (c *conn) pump() {
	for moved := 0; !c.closed; {
		switch {
		case len(c.out) > 0:
			if !c.writable {
				return
			}
			n := c.send(c.out)
			c.out = c.out[n:]
		case c.last:
			c.s.drop(c)
		case c.begun && c.cmd.Mode == Download && c.writable:
			moved += c.send(c.s.zeros)
		case c.readable:
			moved += c.read()
		default:
			return
		}
		if moved > turn && !c.closed && !c.queued {
			c.queued = true
			c.s.ready = append(c.s.ready, c)
			return
		}
	}
}

func (c *conn) read() int {
	n, e := nonblock.Read(c.fd, c.s.buf)
	switch {
	case e == unix.EAGAIN:
		c.readable = false
	case e != 0 || n == 0:
		c.s.drop(c) // what was echoed and not sent is of no use: the client has left
	default:
		c.readable = n == len(c.s.buf) || c.hangup
		c.take(c.s.buf[:n])
	}
	return n
}

// take consumes input.
func (c *conn) take(p []byte) {
	for len(p) > 0 && !c.begun {
		p = c.begin(p)
	}
	if len(p) == 0 || c.closed {
		return
	}
	switch c.cmd.Mode {
	case Reply:
		c.reply(len(p))
	case Download, Upload, Trickle:
	default:
		n := 0
		if c.writable {
			n = c.send(p)
		}
		c.out = append(c.out[:0], p[n:]...)
	}
}

// begin consumes the hello and the command.
func (c *conn) begin(p []byte) []byte {
	if c.skip > 0 {
		n := min(c.skip, len(p))
		c.skip -= n
		return p[n:]
	}
	first := p[0]
	if len(c.head) > 0 {
		first = c.head[0]
	}
	want := recordHeader
	switch {
	case hasCommand(first):
		want = CommandSize
	case first != handshake:
		c.begun, c.cmd.Mode = true, Echo
		return p
	}
	n := min(want-len(c.head), len(p))
	c.head = append(c.head, p[:n]...)
	if len(c.head) < want {
		return p[n:]
	}
	if first == handshake {
		c.skip = int(binary.BigEndian.Uint16(c.head[3:]))
	} else {
		c.cmd, c.begun = parseCommand(c.head), true
		c.start()
	}
	c.head = nil
	return p[n:]
}

// start does what a mode does at first.
func (c *conn) start() {
	switch c.cmd.Mode {
	case Reply:
		c.reply(CommandSize)
	case Trickle:
		c.due = time.Now().Add(c.s.trickles.phase(c.cmd.Interval))
		c.s.trickles.push(c)
	default:
	}
}

// reply counts the request and answers when it is complete.
func (c *conn) reply(n int) {
	c.got += n
	if c.got >= c.cmd.Request {
		c.out, c.last = c.s.zeros[:c.cmd.Size], true
	}
}

func (c *conn) send(p []byte) int {
	n, e := nonblock.Send(c.fd, p)
	if e == unix.EAGAIN || n < len(p) {
		c.writable = false
	}
	if e != 0 && e != unix.EAGAIN {
		c.s.drop(c)
	}
	return n
}
