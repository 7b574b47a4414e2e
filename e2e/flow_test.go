package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// A mode is a way in which the gateway moves bytes.
type mode struct {
	name        string
	relay       string // as gateway_bytes_total calls it
	passthrough bool
	warm        int64 // bytes each way that bring a connection into the mode
}

// modes are all of them. A passthrough relay starts by copying, and splices
// once the flow is broad.
var modes = []mode{
	{name: "copy", relay: "copy", passthrough: true},
	{name: "splice", relay: "splice", passthrough: true, warm: 8 << 20},
	{name: "tls", relay: "tls"},
}

// broad are those that a flow is in while as much as possible is under way.
var broad = modes[1:]

// eachMode runs f as a subtest for each mode, over a gateway of its own.
func eachMode(t *testing.T, f func(t *testing.T, w *world, g *gateway, m mode), settings ...setting) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			f(t, w, w.start(settings...), m)
		})
	}
}

// A conn is a client's connection: TCP, or TLS over it.
type conn interface {
	net.Conn
	CloseWrite() error
}

// A flow is one connection through the gateway, seen from both of its ends.
type flow struct {
	client   conn
	raw      *net.TCPConn // below client
	instance *net.TCPConn
	name     string
}

// flow opens a connection in mode m to a port of cvm1 that is its own.
func (w *world) flow(m mode) *flow {
	w.t.Helper()
	return w.flowTo(w.cvms[0], m)
}

func (w *world) flowTo(c *cvm, m mode) *flow {
	w.t.Helper()
	l := c.host.Listen(w.t, ":0")
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	f := &flow{raw: w.dial()}
	if m.passthrough {
		f.name = name(c.app, port+"s")
		hello := gwtest.Hello{ServerName: f.name}.Record()
		mustWrite(w.t, f.raw, hello)
		f.client, f.instance = f.raw, accept(w.t, l)
		mustRead(w.t, f.instance, string(hello))
	} else {
		f.name = name(c.app, port)
		f.client = w.handshake(f.raw, &tls.Config{ServerName: f.name})
		f.instance = accept(w.t, l)
	}
	w.t.Cleanup(func() { f.instance.Close() })
	if m.warm > 0 {
		send(w.t, f.client, f.instance, 1, m.warm)
		send(w.t, f.instance, f.client, 2, m.warm)
	}
	return f
}

// dial connects to the gateway, until the test ends.
func (w *world) dial() *net.TCPConn {
	w.t.Helper()
	c, err := w.tryDial()
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

func (w *world) tryDial() (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	c, err := w.client.Dial(ctx, net.JoinHostPort(gateway4, tlsPort))
	if err == nil {
		c.SetDeadline(time.Now().Add(2 * patience))
	}
	return c, err
}

// handshake makes a TLS connection of raw, trusting the world's authority.
func (w *world) handshake(raw net.Conn, cfg *tls.Config) *tls.Conn {
	w.t.Helper()
	cfg.RootCAs = w.ca.Pool()
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(w.t.Context()); err != nil {
		w.t.Fatalf("handshake with %s: %v", cfg.ServerName, err)
	}
	return c
}

// accept takes the next connection of l.
func accept(t *testing.T, l net.Listener) *net.TCPConn {
	t.Helper()
	l.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		t.Fatalf("no connection reached the instance: %v", err)
	}
	c.SetDeadline(time.Now().Add(2 * patience))
	return c.(*net.TCPConn)
}

// send sends n bytes from one end to the other, and fails if others arrive.
func send(t *testing.T, from io.Writer, to io.Reader, seed byte, n int64) {
	t.Helper()
	sent := async(func() error { return copyAll(from, gwtest.Stream(seed, n)) })
	got, err := gwtest.Digest(io.LimitReader(to, n))
	if err = errors.Join(err, <-sent); err != nil {
		t.Fatalf("send %d bytes: %v", n, err)
	}
	if want := gwtest.StreamSum(seed, n); got != want {
		t.Fatalf("received %s, sent %s", got, want)
	}
}

// copyAll writes all of r, in steps large enough not to be what is measured.
func copyAll(w io.Writer, r io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, 256<<10))
	return err
}

// async runs f in a goroutine and hands its result over.
func async(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

func mustWrite(t *testing.T, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// mustRead reads exactly want.
func mustRead(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("read %d of %d bytes: %v", n, len(want), err)
	}
	if string(got) != want {
		t.Fatalf("read %.80q, want %.80q", got, want)
	}
}

// mustEnd reads the end of the stream, and nothing before it.
func mustEnd(t *testing.T, r io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Fatalf("want the end of the stream, got %d bytes %.80q and %v", len(rest), rest, err)
	}
}

// mustEcho sends a line there and one back.
func (f *flow) mustEcho(t *testing.T) {
	t.Helper()
	mustWrite(t, f.client, []byte("question\n"))
	mustRead(t, f.instance, "question\n")
	mustWrite(t, f.instance, []byte("answer\n"))
	mustRead(t, f.client, "answer\n")
}
