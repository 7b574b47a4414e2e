package relay

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/hello"
)

// gateway is an engine under test. Names that begin with "tls." are terminated,
// all others are passed through.
type gateway struct {
	*Engine
	t        *testing.T
	addr     string
	log      *logBuffer
	backends atomic.Pointer[[]Backend]
	roots    *x509.CertPool
	cancel   context.CancelFunc
	done     chan struct{}
}

// start runs an engine with short timeouts on a free port. What a test changes
// in Options it does in change. The engine must end without a connection left.
func start(t *testing.T, change func(*gateway, *Options)) *gateway {
	t.Helper()
	g := &gateway{t: t, log: &logBuffer{}, done: make(chan struct{})}
	cert, roots := certificate(t)
	g.roots = roots
	conf := &tls.Config{Certificates: []tls.Certificate{cert}}
	opts := Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Loops:  2,
		Timeouts: Timeouts{
			Hello: 5 * time.Second, Handshake: 5 * time.Second, Connect: 5 * time.Second,
			Hedge: 100 * time.Millisecond, Idle: time.Minute, Drain: 5 * time.Second,
		},
		Log:    slog.New(slog.NewTextHandler(g.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Access: true,
		Route: func(h *hello.Hello, _ netip.AddrPort, d *Decision) {
			if b := g.backends.Load(); b != nil {
				d.N = copy(d.Backends[:], *b)
			}
			d.Mode = hello.Passthrough
			if strings.HasPrefix(string(h.ServerName), "tls.") {
				d.Mode, d.TLS = hello.Terminate, conf
			}
		},
	}
	if change != nil {
		change(g, &opts)
	}
	var err error
	if g.Engine, err = New(opts); err != nil {
		t.Fatal(err)
	}
	addrs, err := g.Listen()
	if err != nil {
		t.Fatal(err)
	}
	g.addr = addrs[0].String()
	ctx, cancel := context.WithCancel(t.Context())
	g.cancel = cancel
	go func() {
		defer close(g.done)
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		g.Abort()
		<-g.done
		if n := g.Open(); n != 0 {
			t.Errorf("%d connections left", n)
		}
	})
	return g
}

// to makes addresses the candidates, in that order.
func (g *gateway) to(addrs ...netip.AddrPort) *gateway {
	var list []Backend
	for _, a := range addrs {
		list = append(list, Backend{Addr: a, Name: a.String()})
	}
	g.backends.Store(&list)
	return g
}

// dial connects a raw client.
func (g *gateway) dial() *net.TCPConn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// pass connects a client that is passed through: it has sent a hello, which its
// backend gets first.
func (g *gateway) pass() *net.TCPConn {
	g.t.Helper()
	c := g.dial()
	write(g.t, c, helloFor(g.t, "raw.test"))
	return c
}

// tls connects a client whose TLS ends at the gateway.
func (g *gateway) tls() *tls.Conn {
	g.t.Helper()
	return g.upgrade(g.dial())
}

// upgrade does the TLS handshake on c.
func (g *gateway) upgrade(raw net.Conn) *tls.Conn {
	g.t.Helper()
	c := tls.Client(raw, &tls.Config{ServerName: "tls.test", RootCAs: g.roots})
	if err := c.Handshake(); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// ended waits for the access line of a connection and returns its reason.
func (g *gateway) ended() string {
	g.t.Helper()
	line := g.log.wait(g.t, "msg=connection ")
	_, reason, _ := strings.Cut(line, " reason=")
	reason, _, _ = strings.Cut(reason, " ")
	return reason
}

// certificate is a self-made one for tls.test.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"tls.test"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// recorder is a net.Conn that keeps what is written and has nothing to read.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recorder) Write(p []byte) (int, error)      { return r.Buffer.Write(p) }
func (r *recorder) SetDeadline(time.Time) error      { return nil }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) Close() error                     { return nil }

// helloFor is the record that Go's client begins with.
func helloFor(t testing.TB, name string) []byte {
	t.Helper()
	r := &recorder{}
	err := tls.Client(r, &tls.Config{ServerName: name}).Handshake()
	if !errors.Is(err, io.EOF) {
		t.Fatalf("handshake with nobody: %v", err)
	}
	return helloOnly(r.Bytes())
}

// helloOnly cuts off the alert that follows.
func helloOnly(b []byte) []byte { return b[:5+int(b[3])<<8+int(b[4])] }

// serve runs a backend that hands each connection to f and closes it afterwards.
func serve(t *testing.T, f func(c *net.TCPConn)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				f(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// afterHello is a backend for clients of pass: it drops the hello first.
func afterHello(t *testing.T, f func(c *net.TCPConn)) netip.AddrPort {
	return serve(t, func(c *net.TCPConn) {
		readHelloFrom(t, c)
		f(c)
	})
}

func readHelloFrom(t *testing.T, c net.Conn) []byte {
	head := make([]byte, 5)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Errorf("no hello at the backend: %v", err)
		return nil
	}
	body := make([]byte, int(head[3])<<8+int(head[4]))
	if _, err := io.ReadFull(c, body); err != nil {
		t.Errorf("no hello at the backend: %v", err)
	}
	return append(head, body...)
}

func echo(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }

func write(t testing.TB, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func readExactly(t testing.TB, c io.Reader, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("read of %d bytes: %v", n, err)
	}
	return b
}

// logBuffer collects log lines.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
	next int // where wait goes on
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// wait returns the next line that has part in it.
func (l *logBuffer) wait(t *testing.T, part string) string {
	t.Helper()
	line := ""
	eventually(t, "a line with "+part+" in the log", func() (ok bool) {
		line, ok = l.find(part)
		return ok
	})
	return line
}

// eventually waits until what is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func (l *logBuffer) find(part string) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rest := l.text.String()[l.next:]
	for {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return "", false
		}
		l.next += len(line) + 1
		if strings.Contains(line, part) {
			return line, true
		}
		rest = after
	}
}
