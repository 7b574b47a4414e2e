package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"time"
)

// TLS without a goroutine per connection. crypto/tls believes that it has an
// ordinary net.Conn. During the handshake that conn's Read yields to the loop
// where it would wait: the handshake is a coroutine on the loop's own thread.
// Afterwards Read answers "would block" with a temporary error, after which
// crypto/tls may be asked again. Write always accepts.

// tlsMaker makes the clients of one loop.
type tlsMaker struct {
	config *tls.Config
	ticket *ticket // nil: sessions are not resumed
}

func newTLSMaker(o *Options) tlsMaker {
	cfg := &tls.Config{
		ServerName: o.ServerName,
		MinVersion: o.TLS,
		MaxVersion: o.TLS,
		// One key share, so that a run measures the one that was asked for.
		CurvePreferences: []tls.CurveID{o.Curve},
		// It sends the server nothing secret, and believes nothing that it
		// says: unless somebody asks, checking the chain is only the generator's own cost.
		InsecureSkipVerify: o.Roots == nil,
		RootCAs:            o.Roots,
	}
	m := tlsMaker{config: cfg}
	if o.Resume {
		m.ticket = &ticket{}
		cfg.ClientSessionCache = m.ticket
	}
	return m
}

// A ticket is a session cache of one session, used again and again: the newest. A
// server that takes a ticket only once shows by its number of resumptions. It belongs
// to one loop.
type ticket struct{ state *tls.ClientSessionState }

// Get implements [tls.ClientSessionCache].
func (t *ticket) Get(string) (*tls.ClientSessionState, bool) { return t.state, t.state != nil }

// Put implements [tls.ClientSessionCache].
func (t *ticket) Put(_ string, s *tls.ClientSessionState) { t.state = s }

// lacksTicket reports whether sessions are to be resumed and there is none yet.
func (m *tlsMaker) lacksTicket() bool { return m.ticket != nil && m.ticket.state == nil }

// client is the TLS of one connection. A nil client has nothing to stop.
type client struct {
	conn    *tls.Conn
	wire    wire
	next    func() (error, bool)
	cancel  func()
	shaking bool
}

func (m *tlsMaker) client(c *conn) *client {
	t := &client{shaking: true}
	t.wire = wire{c: c, t: t}
	t.conn = tls.Client(&t.wire, m.config)
	t.next, t.cancel = iter.Pull(func(yield func(error) bool) {
		t.wire.yield = yield
		// A context that can end would cost a goroutine for each handshake.
		if err := t.conn.HandshakeContext(context.Background()); err != nil {
			yield(err)
			return
		}
		t.shaking = false
	})
	return t
}

// shake goes on with the handshake and reports whether it is done.
func (t *client) shake() bool {
	c := t.wire.c
	err, waits := t.next()
	c.flush()
	if err != nil {
		c.g.fail(c, handshakeError{err})
		return false
	}
	if waits || c.state == closed {
		return false
	}
	t.cancel()
	counters := &c.g.l.counters
	counters.handshakes.Add(1)
	if t.conn.ConnectionState().DidResume {
		counters.resumed.Add(1)
	}
	c.up()
	return true
}

// stop ends a handshake that is under way.
func (t *client) stop() {
	if t != nil && t.shaking {
		t.shaking = false
		t.wire.dead = true
		t.cancel()
	}
}

func (t *client) read(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	if errors.Is(err, wouldBlock) {
		err = nil
	}
	return n, err
}

// write encrypts p into the connection's buffer.
func (t *client) write(p []byte) error {
	_, err := t.conn.Write(p)
	return err
}

// wire is the net.Conn that crypto/tls gets.
type wire struct {
	c     *conn
	t     *client
	yield func(error) bool
	dead  bool
}

// errWouldBlock is temporary in the sense of net.Error: crypto/tls keeps its state.
type errWouldBlock struct{}

func (errWouldBlock) Error() string   { return "no bytes yet" }
func (errWouldBlock) Timeout() bool   { return true }
func (errWouldBlock) Temporary() bool { return true }

var wouldBlock net.Error = errWouldBlock{}

// Read gives crypto/tls the peer's bytes. It reads the socket in large pieces, into
// the loop's buffer beside the one of plaintext: crypto/tls asks on until Read would
// block, so nothing stays there when the next connection has its turn.
func (w *wire) Read(p []byte) (int, error) {
	for {
		if w.dead {
			return 0, net.ErrClosed
		}
		if c := w.c; len(c.in) > 0 {
			n := copy(p, c.in)
			c.in = c.in[n:]
			return n, nil
		}
		n, err := w.c.readSocket(w.c.g.l.cipher)
		switch {
		case err != nil:
			return 0, err
		case n > 0:
			w.c.in = w.c.g.l.cipher[:n]
		case !w.t.shaking:
			return 0, wouldBlock
		case w.c.readable: // the turn is over
			w.c.g.l.later(w.c)
			fallthrough
		default: // shake flushes; an error of it may not end the coroutine from within
			if w.dead || !w.yield(nil) {
				return 0, net.ErrClosed
			}
		}
	}
}

// Write takes all of p.
func (w *wire) Write(p []byte) (int, error) {
	w.c.out = append(w.c.out, p...)
	return len(p), nil
}

// Close does nothing: the loop closes descriptors.
func (w *wire) Close() error { return nil }

// SetDeadline does nothing: the loop keeps time.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr is unknown.
func (w *wire) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is the target.
func (w *wire) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(w.c.g.l.to) }

// Hello returns a ClientHello for serverName as this package sends it, with TLS 1.2 and 1.3.
func Hello(serverName string) ([]byte, error) {
	return recordHello(&Options{ServerName: serverName, Curve: tls.X25519})
}

// recordHello returns the ClientHello that a client of these options would send.
func recordHello(o *Options) ([]byte, error) {
	cfg := newTLSMaker(o).config
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, 0
	var r recorder
	if err := tls.Client(&r, cfg).HandshakeContext(context.Background()); !errors.Is(err, io.EOF) {
		return nil, err
	}
	return r.sent, nil
}

// recorder is a net.Conn to nobody: it keeps what is sent, until somebody waits for
// an answer.
type recorder struct {
	wire
	sent  []byte
	heard bool
}

func (r *recorder) Read([]byte) (int, error) {
	r.heard = true
	return 0, io.EOF
}

func (r *recorder) Write(p []byte) (int, error) {
	if !r.heard {
		r.sent = append(r.sent, p...)
	}
	return len(p), nil
}
