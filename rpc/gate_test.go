package rpc

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
		}, 0},
		"with HTTP/2, where nothing is asked": {func(t *testing.T, c net.Conn) net.Conn {
			conn := tls.Client(c, &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example", Time: valid, NextProtos: []string{"h2"}})
			go func() {
				_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
			}()
			return conn
		}, anonymousLife},
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

func TestStrangerGetsOneAnswer(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/prpc/Info?json", "/prpc/nothing", "/health"} {
		for cert, want := range map[*tls.Certificate]int{nil: 1, &w.guest: 2} {
			c := tls.Client(w.from(t, "127.0.0.1"), &tls.Config{
				RootCAs: w.root.pool(), ServerName: "gw.example", NextProtos: []string{"http/1.1"},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return cmp.Or(cert, &tls.Certificate{}), nil
				},
			})
			request := strings.ReplaceAll(post(path, ""), "POST /health", "GET /health")
			if _, err := io.WriteString(c, request+strings.Replace(request, "\r\n", "\r\nconnection: close\r\n", 1)); err != nil {
				t.Fatal(err)
			}
			all, err := io.ReadAll(c)
			if n := strings.Count(string(all), "HTTP/1.1 "); n != want {
				t.Errorf("%s, with a certificate %v: %d answers, want %d (%v)", path, cert != nil, n, want, err)
			}
		}
	}
}

// from opens a connection from another address of loopback.
func (w *world) from(t testing.TB, source string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// As many strangers as there are places, and more, from eight addresses: none of them has
// to leave for a guest to come.
func TestGuestRegistersBesideIdleStrangers(t *testing.T) {
	for name, shake := range map[string]bool{"silent": false, "after the handshake": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.MaxConnections, o.MaxPerSource = 64, 16 })
			for i := range 8 * 16 {
				c := w.from(t, netip.AddrFrom4([4]byte{127, 1, byte(i % 8), 1}).String())
				if shake { // one that is turned away has failed
					_ = tls.Client(c, &tls.Config{RootCAs: w.root.pool(), ServerName: "gw.example"}).Handshake()
				}
			}
			began := time.Now()
			if a, err := w.trySend(&w.guest, post("/prpc/RegisterCvm?json", guests[0].body), nil); err != nil || a.status != 200 {
				t.Errorf("status %d: %s, %v", a.status, a.body, err)
			}
			if took := time.Since(began); took >= headerTimeout {
				t.Errorf("the guest waited %v, until the strangers' time was over", took)
			}
		})
	}
}
