package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// Dialling a backend that is encrypted again: connect, send what must come first, TLS
// handshake. All of it belongs to the try, so that a peer that does not prove its
// identity gives way to the next candidate, and the client, whose own handshake comes
// later, can be sent an alert. No byte of the client's has been sent to it by then.
//
// It runs on a goroutine, because judging evidence may wait for a server that knows
// more. Then the loop gets the descriptor, and goes on with the same tls.Conn.

// errUnproven marks the failure of a peer that was reached.
var errUnproven = errors.New("the instance did not prove that it belongs to the app")

var (
	errNoJudge    = errors.New("the instance's certificate cannot be verified now")
	errLate       = errors.New("no proof within the connect timeout")
	errNoPostgres = errors.New("it did not answer PostgreSQL's SSLRequest with S")
)

// dialTLS begins try i.
func (s *setup) dialTLS(i int) {
	l, e, b, c := s.l, s.l.engine, s.decision.Backends[i], s.c
	preface := s.plainPreface(&b)
	s.tryOnGoroutine(i, func(ctx context.Context, tell func(func(*try))) (dialled, error) {
		raw, err := e.reach(ctx, &b)
		if err != nil {
			return dialled{}, err
		}
		tell(func(t *try) { t.verdict = unproven })
		side, err := c.secure(ctx, raw, b.TLS, preface)
		if err != nil {
			return dialled{}, oneline.Join(fmt.Errorf("%w: %w", errUnproven, err), raw.Close())
		}
		got, err := l.handOver(raw)
		got.tls = side
		return got, err
	})
}

// preface is sent to a backend before the TLS that the gateway speaks to it.
type preface struct {
	header   []byte // PROXY
	postgres bool   // the client sent an SSLRequest, so we send one
}

func (s *setup) plainPreface(b *Backend) preface {
	p := preface{postgres: s.postgres}
	if b.SendProxy {
		if s.header == nil {
			s.header = s.proxyHeader()
		}
		p.header = s.header
	}
	return p
}

// reach connects to b.
func (e *Engine) reach(ctx context.Context, b *Backend) (net.Conn, error) {
	switch {
	case b.Dial != nil:
		return b.Dial(ctx)
	case e.opts.Dial != nil:
		return e.opts.Dial(ctx, b.Addr)
	}
	var raw net.Conn
	err := e.ports.Try(b.Addr, func(port uint16) (err error) {
		d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
			var bound error
			err := c.Control(func(fd uintptr) {
				bound = oneline.Join(e.bind(int(fd)), comeFrom(int32(fd), b.Addr, port))
				e.limitMSS(int32(fd))
			})
			return oneline.Join(err, bound)
		}}
		raw, err = d.DialContext(ctx, "tcp", b.Addr.String())
		return err
	})
	return raw, err
}

// link is the transport of a TLS that begins on a goroutine and goes on in a loop.
type link struct {
	net.Conn
	shaking *wire // during the handshake: the one with which it will go on
}

// Read bounds how many records the handshake takes.
func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if w := l.shaking; w != nil {
		w.empties.feed(p[:n], n)
		if w.empties.ended > handshakeRecords {
			return 0, errRecords
		}
	}
	return n, err
}

// secure does the handshake on raw until ctx ends. What it returns belongs to c's
// loop.
func (c *conn) secure(ctx context.Context, raw net.Conn, judge func(context.Context) *tls.Config, p preface) (_ *tlsSide, err error) {
	defer func() {
		if p := recover(); p != nil { // a certificate is the peer's input
			c.loop.engine.logPanic(p)
			err = errors.New("panic")
		}
	}()
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	if err := p.say(raw); err != nil {
		return nil, err
	}
	conf := judge(ctx)
	if conf == nil || conf.InsecureSkipVerify && conf.VerifyConnection == nil {
		return nil, errNoJudge
	}
	conf = conf.Clone()
	conf.MinVersion = tls.VersionTLS13
	conf.ClientSessionCache = nil // each connection hears the verdict of now
	t := &tlsSide{means: &instanceWords, wire: wire{c: c, end: &c.backend}}
	l := &link{raw, &t.wire}
	t.conn = tls.Client(l, conf)
	if err := t.conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if !stop() {
		return nil, ctx.Err()
	}
	t.wire.shaken()
	l.Conn, l.shaking = &t.wire, nil
	return t, nil
}

// say sends the preface.
func (p preface) say(raw net.Conn) error {
	if _, err := raw.Write(p.header); err != nil || !p.postgres {
		return err
	}
	if _, err := raw.Write([]byte(sslRequest)); err != nil {
		return err
	}
	var answer [1]byte // not one byte more: what follows is TLS
	if _, err := io.ReadFull(raw, answer[:]); err != nil {
		return err
	}
	if answer[0] != 'S' {
		return errNoPostgres
	}
	return nil
}

// handOver gives raw to a loop: its descriptor, or if it has none, a bridge.
func (l *loop) handOver(raw net.Conn) (dialled, error) {
	socket, ok := raw.(*net.TCPConn)
	if !ok {
		b, err := l.pair(raw)
		if err != nil {
			return dialled{}, err
		}
		return dialled{fd: b.fd, bridge: b}, nil
	}
	defer func() { _ = socket.Close() }()
	control, err := socket.SyscallConn()
	if err != nil {
		return dialled{}, err
	}
	fd, failed := -1, error(nil)
	err = control.Control(func(old uintptr) { fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	return dialled{fd: int32(fd)}, oneline.Join(err, failed)
}

// unproven makes r, the end of a race without a winner, AttestationFailed if an
// instance was reached in it, which is the better reason.
func (s *setup) unproven(r Reason) Reason {
	d := &s.dialing
	for i := range d.n {
		t := &d.tries[i]
		if t.verdict != unproven {
			continue
		}
		if t.state == connecting {
			s.logUnproven(i, fmt.Errorf("%w: %w", errUnproven, errLate))
		}
		return AttestationFailed
	}
	return r
}

// logUnproven logs why try i did not prove its identity.
func (s *setup) logUnproven(i int, err error) {
	if !errors.Is(err, errUnproven) {
		return
	}
	b := &s.decision.Backends[i]
	s.l.engine.warnUnproven(b, err)
	s.c.detail(b.Name + ": " + brief(err))
}

// brief is err's text, of which the peer may have written a part.
func brief(err error) string {
	const most = 200
	text := err.Error()
	return text[:min(len(text), most)]
}
