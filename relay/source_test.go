package relay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"sallyport/internal/hello"
	"sallyport/internal/proxyproto"
)

// dialFrom connects a raw client from another of loopback's addresses.
func (g *gateway) dialFrom(addr string) *net.TCPConn {
	g.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}, Timeout: 30 * time.Second}
	c, err := d.DialContext(g.t.Context(), "tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

func TestSilentClientsCountFromWhenTheyAreAccepted(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.MaxPerSource = 2 }).to(afterHello(t, echo))
	silent := g.dialFrom("127.0.0.1")
	g.dialFrom("127.0.0.1")
	g.waitOpen(2)
	if got := alertIn(t, g.dialFrom("127.0.0.1")); got != alertAccessDenied {
		t.Errorf("alert %d for the third silent client", got)
	}
	if got := g.ended(); got != "source_limit" {
		t.Errorf("reason %s", got)
	}
	other := g.dialFrom("127.0.0.2")
	write(t, other, helloFor(t, "raw.test"))
	mustEcho(t, other)
	silent.Close()
	g.ended()
	mustEcho(t, g.pass())
}

// One source must not shut an app out for all others, with clients that say nothing
// behind their hello.
func TestOneSourceHoldsNoMoreThanItsShareOfALimit(t *testing.T) {
	lim := &limit{}
	lim.left.Store(4)
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			route(h, a, d)
			d.Limit, d.Share = lim, 2
		}
	}).to(afterHello(t, echo))
	first := g.pass()
	mustEcho(t, first)
	mustEcho(t, g.pass())
	if got := alertIn(t, g.pass()); got != alertAccessDenied {
		t.Errorf("alert %d for the third", got)
	}
	g.log.wait(t, `reason=source_limit detail="this client address has its share`)
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		c := g.dialFrom(from)
		write(t, c, helloFor(t, "raw.test"))
		mustEcho(t, c)
	}
	c := g.dialFrom("127.0.0.4")
	write(t, c, helloFor(t, "raw.test"))
	if got := alertIn(t, c); got != alertAccessDenied {
		t.Errorf("alert %d over the limit", got)
	}
	g.log.wait(t, "reason=app_limit")
	first.Close()
	g.ended()
	mustEcho(t, g.pass())
}

// Behind a balancer the clients count that its headers name; it itself never does.
func TestBalancersAreNoSources(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) {
		o.MaxPerSource = 1
		o.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			route(h, a, d)
			d.Limit, d.Share = &limit{}, 1
			d.Limit.(*limit).left.Store(1)
		}
	}).to(afterHello(t, echo))
	with := func(h proxyproto.Header) *net.TCPConn {
		c := g.dialFrom("127.0.0.1")
		write(t, c, append(proxyproto.AppendV2(nil, h), helloFor(t, "raw.test")...))
		return c
	}
	client := func(addr string) proxyproto.Header {
		return proxyproto.Header{Source: netip.MustParseAddrPort(addr), Destination: netip.MustParseAddrPort("192.0.2.1:443")}
	}
	for range 3 {
		g.dialFrom("127.0.0.1") // its header is still to come
		mustEcho(t, with(proxyproto.Header{Local: true}))
	}
	one := with(client("198.51.100.1:1000"))
	mustEcho(t, one)
	mustEcho(t, with(client("198.51.100.2:1000")))
	if got := alertIn(t, with(client("198.51.100.1:1001"))); got != alertAccessDenied {
		t.Errorf("alert %d for the second of one client", got)
	}
	g.log.wait(t, "reason=source_limit")
	one.Close()
	g.ended()
	mustEcho(t, with(client("198.51.100.1:1002")))
}

func TestSourcesWithoutAConnectionAreForgotten(t *testing.T) {
	lim := &limit{}
	lim.left.Store(100)
	g := start(t, func(_ *gateway, o *Options) {
		o.MaxPerSource = 10
		route := o.Route
		o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
			route(h, a, d)
			d.Limit, d.Share = lim, 10
		}
	}).to(afterHello(t, echo))
	var all []*net.TCPConn
	for i := range 20 {
		c := g.dialFrom(netip.AddrFrom4([4]byte{127, 0, 1, byte(i)}).String())
		if all = append(all, c); i%2 == 0 {
			write(t, c, helloFor(t, "raw.test"))
			mustEcho(t, c)
		}
	}
	g.waitOpen(20)
	if n := g.sources.Len(); n != 30 {
		t.Errorf("%d are held, want 20 sources and the places of 10", n)
	}
	for _, c := range all {
		c.Close()
	}
	g.waitOpen(0)
	if n := g.sources.Len(); n != 0 {
		t.Errorf("%d are still held", n)
	}
	if left := lim.left.Load(); left != 100 {
		t.Errorf("%d places are free", left)
	}
}
