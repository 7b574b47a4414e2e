package rpc

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection to the server, from accept on. In its handshake each piece of
// work, from the end of a read to the next read or write, is done in a turn: the bound is
// on what runs, so that a slow writer delays nothing else.
type conn struct {
	net.Conn
	gate            *gate
	source, network netip.Prefix

	class   class // this and holders are places'
	holders [2]*holder

	// idleSince is when we began to wait for the client, in nanoseconds of Unix time; 0: it
	// waits for us.
	idleSince atomic.Int64

	closed chan struct{}
	close  sync.Once
	err    error // of close
	left   sync.Once

	mu    sync.Mutex  // guards timer
	timer *time.Timer // closes it

	shaken atomic.Bool // the handshake is over

	// In the handshake only; its goroutine's, and then the reader's.
	shaking bool
	turn    bool
	buf     []byte // what was read and not asked for yet
}

// readAhead is how much of the client's side of a handshake is read at once: a chain of
// certificates, as a rule, so that it takes one turn.
const readAhead = 8 << 10

func newConn(raw net.Conn, g *gate) *conn {
	c := &conn{Conn: raw, gate: g, closed: make(chan struct{})}
	c.source, c.network = sourceOf(raw.RemoteAddr())
	c.idleSince.Store(time.Now().UnixNano())
	return c
}

// hold leaves c unread for d, and reports false if it, or the gate, is closed meanwhile.
func (c *conn) hold(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.closed:
	case <-c.gate.closed:
	}
	return false
}

// shake does the handshake of t, which is over c.
func (c *conn) shake(t *tls.Conn) error {
	c.limit(handshakeTimeout)
	c.shaking = true
	err := t.HandshakeContext(context.Background()) // limit ends it, without a goroutine for each
	c.shaking = false
	c.shaken.Store(true)
	c.giveTurn()
	c.idleSince.Store(time.Now().UnixNano())
	return err
}

// limit closes c after d, unless another limit is set before; 0 is none.
func (c *conn) limit(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if d > 0 {
		c.timer = time.AfterFunc(d, func() { _ = c.Close() })
	}
}

func (c *conn) Read(b []byte) (int, error) {
	if len(c.buf) == 0 && !c.shaking {
		return c.Conn.Read(b)
	}
	if len(c.buf) == 0 {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, c.buf)
	if c.buf = c.buf[n:]; len(c.buf) == 0 {
		c.buf = nil
	}
	return n, nil
}

// fill reads, and then waits for a turn to work on it.
func (c *conn) fill() error {
	c.giveTurn()
	buf := make([]byte, readAhead)
	c.idleSince.Store(time.Now().UnixNano())
	n, err := c.Conn.Read(buf)
	c.idleSince.Store(0)
	if n == 0 {
		return err
	}
	c.buf = buf[:n]
	if !c.gate.turns.enter(c.closed, c.class == known, c.network, c.source) {
		return net.ErrClosed
	}
	c.turn = true
	return nil
}

func (c *conn) Write(b []byte) (int, error) {
	if c.shaking {
		c.giveTurn()
	}
	return c.Conn.Write(b)
}

func (c *conn) giveTurn() {
	if c.turn {
		c.turn = false
		c.gate.turns.leave()
	}
}

// Close gives the place back, too.
func (c *conn) Close() error {
	c.close.Do(func() {
		close(c.closed)
		c.limit(0)
		c.gate.places.leave(c)
		c.err = c.Conn.Close()
	})
	return c.err
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

// gone notes that nothing uses c any more: only then is its descriptor free for certain.
func (c *conn) gone() { c.left.Do(func() { <-c.gate.live }) }

// track is http.Server's ConnState: it notes when a connection is idle, and its end.
func track(nc net.Conn, state http.ConnState) {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return
	}
	c := t.NetConn().(*conn)
	switch state {
	case http.StateActive:
		c.idleSince.Store(0)
	case http.StateIdle:
		c.idleSince.Store(time.Now().UnixNano())
	case http.StateClosed, http.StateHijacked:
		c.gone()
	case http.StateNew:
	}
}

// digestOf names a certificate or a key.
func digestOf(der []byte) [sha256.Size]byte { return sha256.Sum256(der) }
