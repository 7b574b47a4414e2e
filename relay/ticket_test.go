package relay

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"sallyport/internal/hello"
	"sallyport/internal/nonblock"
)

// resuming is a client's configuration with a cache of sessions.
func (g *gateway) resuming(version uint16) *tls.Config {
	return &tls.Config{
		ServerName: "tls.test", RootCAs: g.roots, MinVersion: version, MaxVersion: version,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// shake connects a client without TCP_NODELAY and does the handshake.
func (g *gateway) shake(conf *tls.Config) *tls.Conn {
	g.t.Helper()
	raw := g.dial()
	if err := raw.SetNoDelay(false); err != nil {
		g.t.Fatal(err)
	}
	c := tls.Client(raw, conf)
	if err := c.Handshake(); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// Without an acknowledgement of the client's Finished, its kernel holds the request until
// the delayed one comes, which is 40 ms at least. The fastest of many tells whatever else
// the machine does.
func TestFirstRequestDoesNotWaitForADelayedAcknowledgement(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, resumed %v", tls.VersionName(version), resumed), func(t *testing.T) {
				g := start(t, nil).to(serve(t, echo))
				conf := g.resuming(version)
				if !resumed {
					conf.ClientSessionCache = nil
				} else {
					mustEcho(t, g.shake(conf))
				}
				fastest := time.Hour
				for range 20 {
					c := g.shake(conf)
					began := time.Now()
					mustEcho(t, c)
					fastest = min(fastest, time.Since(began))
					if got := c.ConnectionState().DidResume; got != resumed {
						t.Fatalf("resumed: %v", got)
					}
					c.Close()
				}
				if fastest > 20*time.Millisecond {
					t.Errorf("the fastest of 20 first replies took %v", fastest)
				}
			})
		}
	}
}

// A client that closes with bytes unread resets the connection, and what it has written
// may be lost.
func TestClientThatOnlyWritesHasNothingUnread(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			type end struct {
				text string
				err  error
			}
			got := make(chan end, 1)
			g := start(t, nil).to(serve(t, func(c *net.TCPConn) {
				b, err := io.ReadAll(c)
				got <- end{string(b), err}
			}))
			c := g.shake(g.resuming(version))
			write(t, c, []byte("only this"))
			g.waitCrypted(0, 9)
			raw := c.NetConn().(*net.TCPConn)
			control, err := raw.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			_ = control.Control(func(fd uintptr) {
				if n, errno := nonblock.Unread(int32(fd)); n != 0 || errno != 0 {
					t.Errorf("%d bytes unread, %v", n, errno)
				}
			})
			raw.Close() // no close_notify
			if e := <-got; e.text != "only this" || e.err != nil {
				t.Errorf("the instance got %q, %v", e.text, e.err)
			}
			if got := g.ended(); got != "client_truncated" {
				t.Errorf("reason %s", got)
			}
		})
	}
}

// waitCrypted waits until n bytes went in a direction of connections whose TLS ends here.
func (g *gateway) waitCrypted(dir int, n uint64) {
	g.t.Helper()
	eventually(g.t, "the bytes came through", func() bool { return g.bytes(dir, crypting) >= n })
}

func TestSilentClientGetsItsTicket(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	conf := g.resuming(tls.VersionTLS13)
	c := g.shake(conf)
	go func() { _, _ = c.Read(make([]byte, 1)) }()
	eventually(t, "the client has a ticket", func() bool {
		s, ok := conf.ClientSessionCache.Get("tls.test")
		return ok && s != nil
	})
	again := g.shake(conf)
	mustEcho(t, again)
	if !again.ConnectionState().DidResume {
		t.Error("not resumed")
	}
}

func TestClientIsServedWhereTicketsAreOff(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, client netip.AddrPort, d *Decision) {
			route(h, client, d)
			d.TLS = d.TLS.Clone()
			d.TLS.SessionTicketsDisabled = true
		}
	}).to(serve(t, echo))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		mustEcho(t, g.shake(g.resuming(version)))
	}
}

func TestTicketIsTheLastRecordOfAHandshakesFlight(t *testing.T) {
	record := func(kind byte, size int) []byte {
		return append([]byte{kind, 3, 3, byte(size >> 8), byte(size)}, make([]byte, size)...)
	}
	hello, extensions, sha256, sha384, ticket := record(22, 90), record(23, 30), record(23, 53), record(23, 69), record(23, 180)
	for _, tt := range []struct {
		name   string
		flight [][]byte
		kept   []byte
	}{
		{"nothing", nil, nil},
		{"retry", [][]byte{hello, record(20, 1)}, nil},
		{"TLS 1.2", [][]byte{hello, record(22, 800), record(22, 4)}, nil},
		{"no ticket", [][]byte{hello, extensions, sha256}, nil},
		{"no ticket, SHA-384", [][]byte{hello, extensions, sha384}, nil},
		{"ticket", [][]byte{hello, extensions, sha256, ticket}, ticket},
		{"ticket, SHA-384", [][]byte{hello, extensions, sha384, ticket}, ticket},
		{"ticket alone", [][]byte{ticket}, ticket},
		{"alert", [][]byte{record(21, 2)}, nil},
		{"half a record", [][]byte{hello, ticket[:100]}, nil},
		{"half a head", [][]byte{hello, ticket[:3]}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w wire
			flight := slices.Concat(tt.flight...)
			sent := w.keepTicket(flight)
			if !bytes.Equal(w.ticket, tt.kept) || !bytes.Equal(append(sent, w.ticket...), flight) {
				t.Errorf("%d bytes sent, %d kept", len(sent), len(w.ticket))
			}
		})
	}
}
