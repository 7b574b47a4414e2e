package relay

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/hello"
	"sallyport/internal/proxyproto"
)

func TestPostgresClientIsTerminated(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c := g.dial()
	write(t, c, []byte(gssEncRequest))
	if got := readExactly(t, c, 1); got[0] != 'N' {
		t.Fatalf("answer to GSSENCRequest: %q", got)
	}
	write(t, c, []byte(sslRequest))
	if got := readExactly(t, c, 1); got[0] != 'S' {
		t.Fatalf("answer to SSLRequest: %q", got)
	}
	mustEcho(t, g.upgrade(c))
}

// postgres is a backend that answers an SSLRequest.
func postgres(t *testing.T, answer string, f func(*net.TCPConn)) netip.AddrPort {
	return serve(t, func(c *net.TCPConn) {
		if got := readExactly(t, c, len(sslRequest)); string(got) != sslRequest {
			t.Errorf("the backend got % x instead of an SSLRequest", got)
		}
		write(t, c, []byte(answer))
		f(c)
	})
}

func TestPostgresClientIsPassedThrough(t *testing.T) {
	g := start(t, nil).to(postgres(t, "S", func(c *net.TCPConn) {
		readHelloFrom(t, c)
		echo(c)
	}))
	c := g.dial()
	write(t, c, []byte(sslRequest))
	readExactly(t, c, 1)
	write(t, c, helloFor(t, "raw.test"))
	mustEcho(t, c)
}

func TestPostgresWithoutTLSIsRefused(t *testing.T) {
	g := start(t, nil).to(postgres(t, "N", func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }))
	c := g.dial()
	write(t, c, []byte(sslRequest))
	readExactly(t, c, 1)
	write(t, c, helloFor(t, "raw.test"))
	if got := alertIn(t, c); got != alertHandshakeFailure {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "postgres_refused" {
		t.Errorf("reason %s", got)
	}
}

func believing(_ *gateway, o *Options) {
	o.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func TestBelievedProxyHeaderNamesTheClient(t *testing.T) {
	asked := make(chan netip.AddrPort, 1)
	g := start(t, func(g *gateway, o *Options) {
		believing(g, o)
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			asked <- a
			route(h, a, d)
		}
	}).to(afterHello(t, echo))
	for _, header := range [][]byte{
		[]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n"),
		proxyproto.AppendV2(nil, proxyproto.Header{
			Source: netip.MustParseAddrPort("192.0.2.7:1234"), Destination: netip.MustParseAddrPort("192.0.2.1:443"),
		}),
	} {
		c := g.dial()
		write(t, c, append(header, helloFor(t, "raw.test")...))
		mustEcho(t, c)
		if got := <-asked; got.String() != "192.0.2.7:1234" {
			t.Errorf("client %v", got)
		}
	}
}

// withTLVs has PROXY headers tell all that is known.
func withTLVs(_ *gateway, o *Options) {
	route := o.Route
	o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
		route(h, a, d)
		d.ProxyTLVs = true
	}
}

func TestInboundExtensionsArePassedOn(t *testing.T) {
	got := make(chan proxyproto.Header, 1)
	backend := serve(t, func(c *net.TCPConn) {
		head := readExactly(t, c, 16)
		h, _, err := proxyproto.Parse(append(head, readExactly(t, c, int(head[14])<<8+int(head[15]))...))
		if err != nil {
			t.Error(err)
		}
		got <- h
		readHelloFrom(t, c)
		echo(c)
	})
	g := start(t, func(g *gateway, o *Options) {
		believing(g, o)
		withTLVs(g, o)
	})
	g.backends.Store(&[]Backend{{Addr: backend, SendProxy: true}})
	in := proxyproto.Header{
		Source: netip.MustParseAddrPort("192.0.2.7:1234"), Destination: netip.MustParseAddrPort("192.0.2.1:443"),
	}
	for kind, value := range map[proxyproto.Type]string{0xE0: "ours", proxyproto.TypeUniqueID: "id", proxyproto.TypeAuthority: "a lie"} {
		if err := in.TLVs.Add(kind, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	c := g.dial()
	write(t, c, append(proxyproto.AppendV2(nil, in), helloFor(t, "raw.test")...))
	mustEcho(t, c)
	h := <-got
	if h.Source != in.Source || h.Destination != in.Destination {
		t.Errorf("header %v → %v", h.Source, h.Destination)
	}
	for kind, want := range map[proxyproto.Type]string{0xE0: "ours", proxyproto.TypeUniqueID: "id", proxyproto.TypeAuthority: "raw.test"} {
		if v, _ := h.TLVs.Get(kind); string(v) != want {
			t.Errorf("extension %#x is %q, want %q", kind, v, want)
		}
	}
}

func TestMissingProxyHeaderEndsTheConnection(t *testing.T) {
	g := start(t, believing).to(afterHello(t, echo))
	if got := alertIn(t, g.pass()); got != alertNone {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "bad_proxy_header" {
		t.Errorf("reason %s", got)
	}
}

func TestProxyHeaderFromAnybodyElseIsRefused(t *testing.T) {
	g := start(t, nil).to(afterHello(t, echo))
	c := g.dial()
	write(t, c, append([]byte("PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n"), helloFor(t, "raw.test")...))
	if got := alertIn(t, c); got != alertNone {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "not_tls" {
		t.Errorf("reason %s", got)
	}
}

func TestBackendThatWantsItGetsAProxyHeader(t *testing.T) {
	for _, name := range []string{"raw.test", "tls.test"} {
		t.Run(name, func(t *testing.T) {
			header := make(chan proxyproto.Header, 1)
			backend := serve(t, func(c *net.TCPConn) {
				head := readExactly(t, c, 16)
				rest := readExactly(t, c, int(head[14])<<8+int(head[15]))
				h, _, err := proxyproto.Parse(append(head, rest...))
				if err != nil {
					t.Error(err)
				}
				header <- h
				if name == "raw.test" {
					readHelloFrom(t, c)
				}
				echo(c)
			})
			g := start(t, withTLVs)
			g.backends.Store(&[]Backend{{Addr: backend, SendProxy: true}})
			var c net.Conn = g.dial()
			if name == "raw.test" {
				write(t, c, helloFor(t, name))
			} else {
				c = g.upgrade(c)
			}
			mustEcho(t, c)
			h := <-header
			if h.Source.String() != c.LocalAddr().String() || h.Destination.String() != g.addr {
				t.Errorf("header %v → %v", h.Source, h.Destination)
			}
			if got, _ := h.TLVs.Get(proxyproto.TypeAuthority); string(got) != name {
				t.Errorf("authority %q", got)
			}
			if got, _ := h.TLVs.Get(proxyproto.TypeUniqueID); len(got) != 16 {
				t.Errorf("unique id % x", got)
			}
			got, ok := h.TLVs.Get(proxyproto.TypeSSL)
			if terminated := name == "tls.test"; ok != terminated || terminated && string(got[8:]) != "TLSv1.3" {
				t.Errorf("TLS extension %q", got)
			}
		})
	}
}

// nginx before 1.23 resets a connection whose header has more than 107 bytes.
func TestProxyHeaderIsShortUnlessMoreIsAskedFor(t *testing.T) {
	name := func(n int) string { return strings.Repeat("a", n) }
	const (
		four, four2 = "192.0.2.7:1234", "192.0.2.1:443"
		six, six2   = "[2001:db8::7]:1234", "[2001:db8::1]:443"
	)
	var inbound proxyproto.TLVs
	if err := inbound.Add(0xEA, []byte("vpce-08d2bf15fac5001c9")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		client, server, name string
		all                  bool
		size                 int
		named                bool
	}{
		{four, four2, name(76), false, 107, true},
		{four, four2, name(77), false, 28, false},
		{six, six2, name(52), false, 107, true},
		{six, six2, name(53), false, 52, false},
		{four, six2, name(53), false, 52, false},
		{four, four2, name(253), false, 28, false},
		{four, four2, name(10), true, 28 + 25 + 13 + 19, true},
		{six, six2, name(253), true, 52 + 25 + 256 + 19, true},
	} {
		s := setup{c: &conn{addr: netip.MustParseAddrPort(tt.client)}, server: netip.MustParseAddrPort(tt.server)}
		s.serverName, s.tlvs, s.decision.ProxyTLVs = []byte(tt.name), inbound, tt.all
		b := s.proxyHeader()
		h, n, err := proxyproto.Parse(b)
		if err != nil || n != len(b) || n != tt.size {
			t.Errorf("%s, %d bytes of name: %d bytes, %v; want %d", tt.client, len(tt.name), len(b), err, tt.size)
		}
		if h.Source.String() != tt.client || h.Destination.String() != tt.server {
			t.Errorf("header %v → %v", h.Source, h.Destination)
		}
		if got, ok := h.TLVs.Get(proxyproto.TypeAuthority); ok != tt.named || ok && string(got) != tt.name {
			t.Errorf("%s, %d bytes of name: authority %q", tt.client, len(tt.name), got)
		}
		if _, ok := h.TLVs.Get(0xEA); ok != tt.all {
			t.Errorf("the inbound extension is there: %v", ok)
		}
	}
}

// The bytes of a stream must be the same however the records that carry it are
// cut into reads.
func TestRecordsCutAnywhereGiveTheSameBytes(t *testing.T) {
	got := make(chan []byte, 1)
	g := start(t, nil).to(serve(t, func(c *net.TCPConn) {
		b, _ := io.ReadAll(c)
		got <- b
	}))
	want := bytes.Repeat([]byte("0123456789"), 30)
	for step := 1; step < 60; step += 7 {
		raw := g.dial()
		cut := &cutConn{Conn: raw}
		c := g.upgrade(cut)
		cut.step = step
		for i := 0; i < len(want); i += 100 {
			write(t, c, want[i:i+100])
		}
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b := <-got; !bytes.Equal(b, want) {
			t.Fatalf("cut every %d bytes: %d bytes arrived, not the same", step, len(b))
		}
	}
}

// cutConn sends a few bytes at a time, each in a segment of its own.
type cutConn struct {
	net.Conn
	step int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.step == 0 {
		return c.Conn.Write(p)
	}
	for i := 0; i < len(p); i += c.step {
		if n, err := c.Conn.Write(p[i:min(i+c.step, len(p))]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}
