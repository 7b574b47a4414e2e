package relay

import (
	"errors"
	"io"
	"net"
	"time"
)

// crypto/tls believes that it has an ordinary net.Conn. While the handshake runs, that
// conn's Read awaits in the coroutine. Afterwards there is no coroutine, and Read answers
// "would block" with a temporary error, for which crypto/tls keeps its state and may be
// asked again (conn.go: errors that are Temporary do not stick). Write always accepts,
// into a buffer that is flushed once a round; back-pressure is the relay's business: it
// reads nothing while the buffer has something.

// wire is the net.Conn that crypto/tls gets.
type wire struct {
	c      *conn
	end    *end   // of c
	setup  *setup // while the handshake runs
	replay *chunk // the hello, read before crypto/tls was asked
	out    *chunk // written by crypto/tls, not yet taken by the socket
	ticket []byte // kept back until something else is written (ticket.go)
	direct bool   // writes go to the loop's buffer, which is flushed at once
	// answers counts the bytes in out that crypto/tls wrote by itself.
	answers int
	eof     bool   // the socket said EOF, and crypto/tls was told
	ended   Reason // why Read gave up during the handshake
}

var _ net.Conn = (*wire)(nil)

// errWouldBlock is temporary in the sense of net.Error: crypto/tls goes on after it.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "no bytes yet" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var (
	_             net.Error = errWouldBlock{}
	wouldBlock    error     = errWouldBlock{}
	errSetupEnded           = errors.New("setup ended")
	errReset                = errors.New("connection reset")
)

// Read gives crypto/tls the peer's bytes.
func (w *wire) Read(p []byte) (int, error) {
	if w.replay != nil {
		n := copy(p, w.replay.bytes())
		w.replay.off += n
		if w.replay.len() == 0 {
			w.c.loop.chunks.put(w.replay)
			w.replay = nil
		}
		return n, nil
	}
	e := w.end
	for {
		n := e.read(p)
		switch {
		case n > 0:
			return n, nil
		case e.broken:
			w.ended = ClientReset
			return 0, errReset
		case e.eof:
			w.eof = true
			return 0, io.EOF
		case e.readable:
			continue
		case w.setup == nil:
			return 0, wouldBlock
		}
		w.flush()
		if r := w.setup.wait(); r != goOn {
			w.ended = r
			return 0, errSetupEnded
		}
		w.flush()
	}
}

// Write takes all of p.
func (w *wire) Write(p []byte) (int, error) {
	n := len(p)
	w.sendTicket()
	if w.setup != nil {
		p = w.keepTicket(p)
	}
	w.put(p)
	return n, nil
}

// put has p sent.
func (w *wire) put(p []byte) {
	l := w.c.loop
	if w.direct {
		l.out = append(l.out, p...)
	} else {
		w.out = l.chunks.keep(w.out, p)
		w.answers += len(p)
	}
}

// flush sends what the socket takes; true means that nothing is left.
func (w *wire) flush() bool {
	if w.out == nil {
		return true
	}
	n := w.end.write(w.out.bytes())
	w.out.off += n
	if n > 0 {
		w.c.last = w.c.loop.now
	}
	if w.out.len() > 0 {
		return false
	}
	w.dropOut()
	return true
}

// dropOut forgets what was written and not sent.
func (w *wire) dropOut() {
	w.c.loop.chunks.put(w.out)
	w.out, w.answers = nil, 0
}

// release gives back the buffers.
func (w *wire) release() {
	w.dropOut()
	w.c.loop.chunks.put(w.replay)
	w.replay, w.ticket = nil, nil
}

// Close and the deadlines are not crypto/tls's business here: the loop closes
// descriptors and keeps time.

// Close does nothing.
func (w *wire) Close() error { return nil }

// SetDeadline does nothing.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is unknown: nothing here asks crypto/tls for it.
func (w *wire) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is the client's, for the callbacks of a tls.Config.
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.c.addr) }
