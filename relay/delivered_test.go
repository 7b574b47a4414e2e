package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// received is what an instance read until the end, and what the end was.
type received struct {
	bytes []byte
	err   error
}

// What the kernel has taken of a client arrives, also if the client is gone by the time
// that anybody looks.
func TestClientThatWritesAndClosesLosesNothing(t *testing.T) {
	sent := randomBytes(300 << 10)
	everyWay(t, nil, func(t *testing.T, open func(func(peer)) (*gateway, peer)) {
		got := make(chan received, 1)
		_, c := open(func(p peer) {
			b, err := io.ReadAll(p)
			got <- received{b, err}
		})
		if err := c.raw.SetNoDelay(false); err != nil {
			t.Fatal(err)
		}
		write(t, c, sent)
		_ = c.raw.Close() // no close_notify
		if r := <-got; !bytes.Equal(r.bytes, sent) || r.err != nil && !errors.Is(r.err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes, then %v", len(r.bytes), len(sent), r.err)
		}
	})
}

func TestClientThatIsGoneBeforeItsInstanceIsReachedLosesNothing(t *testing.T) {
	for name, from := range map[string][]netip.Prefix{"": nil, "behind a load balancer": {netip.MustParsePrefix("127.0.0.0/8")}} {
		t.Run(name, func(t *testing.T) {
			got := make(chan received, 1)
			g := start(t, func(_ *gateway, o *Options) { o.Loops, o.ProxyProtocolFrom = 1, from }).to(afterHello(t, func(c *net.TCPConn) {
				b, err := io.ReadAll(c)
				got <- received{b, err}
			}))
			release := g.hold()
			c := g.dial()
			if from != nil {
				write(t, c, []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"))
			}
			write(t, c, append(helloFor(t, "raw.test"), "only this"...))
			_ = c.Close()
			release()
			if r := <-got; string(r.bytes) != "only this" || r.err != nil {
				t.Errorf("%q, then %v", r.bytes, r.err)
			}
		})
	}
}

// firstRead calls then after the first read that gave something.
type firstRead struct {
	net.Conn
	then func()
}

func (f *firstRead) Read(p []byte) (int, error) {
	n, err := f.Conn.Read(p)
	if f.then != nil {
		f.then()
		f.then = nil
	}
	return n, err
}

// The Finished, what the client sends behind it, and a reset, all before the loop looks.
func TestBytesBehindTheFinishedOfAClientThatHasResetArrive(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			got := make(chan received, 1)
			g := start(t, func(_ *gateway, o *Options) { o.Loops = 1 }).to(serve(t, func(c *net.TCPConn) {
				b, err := io.ReadAll(c)
				got <- received{b, err}
			}))
			raw := g.dial()
			release := func() {}
			in := &firstRead{Conn: raw}
			if version == tls.VersionTLS13 { // there the client has the last word
				in.then = func() { release = g.hold() }
			}
			c := tls.Client(in, &tls.Config{ServerName: "tls.test", RootCAs: g.roots, MinVersion: version, MaxVersion: version})
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			if version == tls.VersionTLS12 {
				release = g.hold()
			}
			write(t, c, []byte("only this"))
			peer{c, raw}.reset(t)
			release()
			if r := <-got; string(r.bytes) != "only this" || !errors.Is(r.err, syscall.ECONNRESET) {
				t.Errorf("%q, then %v", r.bytes, r.err)
			}
		})
	}
}
