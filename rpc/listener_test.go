package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// pipes is a listener whose connections are in memory, so that time can be the
// test's own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.done)
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial is the client's end of a connection from this address.
func (p *pipes) dial(from string) net.Conn {
	client, server := net.Pipe()
	p.conns <- addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}
	return client
}

type addressed struct {
	net.Conn
	from net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.from }

// accepting takes all connections that l gives, until l is closed.
func accepting(l net.Listener) (accepted chan net.Conn) {
	accepted = make(chan net.Conn, 16)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	return accepted
}

func TestOneSourceGetsItsShareOfConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := newPipes(), newMetrics()
		l := newLimitListener(p, 16, 2, m.refused)
		defer l.Close()
		accepted := accepting(l)
		p.dial("192.0.2.1:1")
		p.dial("192.0.2.1:2")
		if _, err := p.dial("192.0.2.1:3").Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the third was not closed: %v", err)
		}
		p.dial("192.0.2.2:1")
		p.dial("[2001:db8::1]:1")
		p.dial("[2001:db8::2]:1")
		if _, err := p.dial("[2001:db8::3]:1").Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the third of a network was not closed: %v", err)
		}
		if n := testutil.ToFloat64(m.refused); n != 2 {
			t.Errorf("%v counted", n)
		}
		first := <-accepted
		first.Close()
		first.Close() // twice gives one place back
		p.dial("192.0.2.1:4")
		if _, err := p.dial("192.0.2.1:5").Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("one that left made two places: %v", err)
		}
		synctest.Wait()
		if n := len(accepted); n != 5 {
			t.Errorf("%d more accepted, want 5", n)
		}
	})
}

func TestFullListenerLetsConnectionsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l := newLimitListener(p, 1, 1, newMetrics().refused)
		accepted := accepting(l)
		p.dial("192.0.2.1:1")
		go p.dial("192.0.2.2:1") // waits as in the kernel's queue
		synctest.Wait()
		if n := len(accepted); n != 1 {
			t.Fatalf("%d accepted, want 1", n)
		}
		(<-accepted).Close()
		synctest.Wait()
		if n := len(accepted); n != 1 {
			t.Error("the place that became free was not given")
		}
		l.Close() // also ends an Accept that waits for a place
		<-accepted
		if _, more := <-accepted; more {
			t.Error("accepted after the end")
		}
	})
}

func TestSourcesAreCountedByAddressOrNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1/32", "[::ffff:192.0.2.1]:5": "192.0.2.1/32", "[2001:db8:1:2:3::4]:5": "2001:db8:1:2::/64", "[fe80::1%lo]:1": "fe80::/64",
	} {
		if got := sourceOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(in))).String(); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := sourceOf(&net.UnixAddr{}); got.IsValid() {
		t.Errorf("a Unix socket is %s", got)
	}
}

func TestClientThatStopsTalkingIsLeft(t *testing.T) {
	w := newWorld(t, nil)
	valid := func() time.Time { return w.guest.Leaf.NotBefore } // the bubble's clock says 2000
	handshake := func(t *testing.T, c net.Conn) net.Conn {
		conn := tls.Client(c, &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example", Time: valid})
		if err := conn.Handshake(); err != nil {
			t.Error(err)
		}
		return conn
	}
	for name, c := range map[string]struct {
		say   func(t *testing.T, c net.Conn) net.Conn
		limit time.Duration
	}{
		"before the handshake": {func(_ *testing.T, c net.Conn) net.Conn { return c }, headerTimeout},
		"after the handshake":  {handshake, headerTimeout},
		"in the header": {func(t *testing.T, c net.Conn) net.Conn {
			conn := handshake(t, c)
			_, _ = io.WriteString(conn, "POST /prpc/RegisterCvm?json HTTP/1.1\r\nhost: x\r\n")
			return conn
		}, headerTimeout},
		"in the body": {func(t *testing.T, c net.Conn) net.Conn {
			conn := handshake(t, c)
			_, _ = io.WriteString(conn, "POST /prpc/Info?json HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{")
			return conn
		}, bodyTimeout + time.Second}, // net/http lingers for half a second
		"after an answer": {func(t *testing.T, c net.Conn) net.Conn {
			conn := handshake(t, c)
			_, _ = io.WriteString(conn, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
			return conn
		}, idleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, began := newPipes(), time.Now()
				ctx, stop := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- w.server.Serve(ctx, p) }()
				conn := c.say(t, p.dial("192.0.2.1:1"))
				_, _ = io.ReadAll(conn) // until the server closes it
				if took := time.Since(began); took > c.limit {
					t.Errorf("left after %v, want %v", took, c.limit)
				}
				stop()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
