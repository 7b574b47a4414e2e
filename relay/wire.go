package relay

import (
	"errors"
	"io"
	"net"
	"time"

	"sallyport/relay/buffer"
)

// crypto/tls believes that it has an ordinary net.Conn. While the handshake runs, that
// conn's Read awaits in the coroutine. Afterwards there is no coroutine, and Read answers
// "would block" with a temporary error, for which crypto/tls keeps its state and may be
// asked again (conn.go: errors that are Temporary do not stick). Read gives no more than a
// turn allows (turn.go). Write always accepts, into a buffer that is flushed once a round;
// back-pressure is the relay's business: it reads nothing while the buffer has something.

// wire is the net.Conn that crypto/tls gets.
type wire struct {
	c      *conn
	end    *end          // of c
	setup  *setup        // while the handshake runs
	ahead  *buffer.Chunk // read and not yet given to crypto/tls: the hello, what a turn did not allow
	out    *buffer.Chunk // written by crypto/tls, not yet taken by the socket
	ticket []byte        // kept back until something else is written (ticket.go)
	direct bool          // writes go to the loop's buffer, which is flushed at once
	// answers counts the bytes in out that crypto/tls wrote by itself.
	answers int
	silent  bool   // nothing more is said to the peer
	eof     bool   // the socket reported EOF, and crypto/tls got it
	ended   Reason // why Read gave up during the handshake

	turn    turn
	empties empties
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
	errRecords              = errors.New("too many records without content")
)

// Read gives crypto/tls the peer's bytes. It is asked when what it gave before is used up.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.mayRead(); err != nil {
		return 0, err
	}
	if w.ahead != nil {
		return w.reread(p), nil
	}
	n, err := w.receive(p)
	if err != nil {
		return 0, err
	}
	m := w.allow(p[:n])
	w.ahead = w.c.loop.chunks.Keep(nil, p[m:n])
	return m, nil
}

// mayRead returns why crypto/tls gets nothing now, or nothing any more.
func (w *wire) mayRead() error {
	if w.setup != nil {
		return w.mayShake()
	}
	switch {
	case w.empties.tooMany(w.c.loop.now):
		return errRecords
	case w.turn.over(), w.clogged():
		return wouldBlock
	}
	return nil
}

// mayShake is mayRead during the handshake, which can wait for its next turn.
func (w *wire) mayShake() error {
	switch {
	case w.empties.ended > w.setup.records, w.empties.total() >= w.setup.handshake:
		return errRecords
	case w.turn.over():
		w.c.loop.wake(w.c)
		return w.wait()
	}
	return nil
}

// reread gives what was read ahead.
func (w *wire) reread(p []byte) int {
	b := w.ahead.Bytes()
	b = b[:min(len(b), len(p))]
	n := copy(p, b[:w.allow(b)])
	w.ahead.Skip(n)
	if w.ahead.Len() == 0 {
		w.dropAhead()
	}
	return n
}

// receive reads from the socket, and waits for it during the handshake.
func (w *wire) receive(p []byte) (int, error) {
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
		if err := w.wait(); err != nil {
			return 0, err
		}
	}
}

// wait has the loop go on until something happens to the connection in setup.
func (w *wire) wait() error {
	w.flush()
	if r := w.setup.wait(); r != goOn {
		w.ended = r
		return errSetupEnded
	}
	w.turn = turn{}
	w.flush()
	return nil
}

// allow returns how much of b crypto/tls gets at once: no more than the turn has left, and
// no more than may all be without content.
func (w *wire) allow(b []byte) int {
	if w.setup != nil {
		b = b[:min(len(b), w.setup.handshake-w.empties.total())]
	}
	n, ended := w.empties.feed(b, min(turnRecords-w.turn.records, w.empties.left()+1))
	w.turn.records += ended
	w.turn.bytes += n
	return n
}

// shaken ends the handshake, whose records count no more.
func (w *wire) shaken() {
	w.setup, w.empties = nil, empties{borders: w.empties.borders}
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
	switch {
	case w.direct:
		l.out = append(l.out, p...)
	case w.silent || w.end.deaf:
	default:
		w.out = l.chunks.Keep(w.out, p)
		w.answers += len(p)
	}
}

// clogged reports whether the peer leaves too many answers unread: it is not read either.
func (w *wire) clogged() bool { return w.answers > maxAnswers }

// flush sends what the socket takes; true means that nothing is left.
func (w *wire) flush() bool {
	if w.out == nil {
		return true
	}
	n := w.end.write(w.out.Bytes())
	w.out.Skip(n)
	if n > 0 {
		w.c.last = w.c.loop.now
	}
	if w.out.Len() > 0 {
		return false
	}
	w.dropOut()
	return true
}

// dropOut forgets what was written and not sent.
func (w *wire) dropOut() {
	w.c.loop.chunks.Put(w.out)
	w.out, w.answers = nil, 0
}

func (w *wire) dropAhead() {
	w.c.loop.chunks.Put(w.ahead)
	w.ahead = nil
}

// release gives back the buffers.
func (w *wire) release() {
	w.dropOut()
	w.dropAhead()
	w.ticket = nil
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
