package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/hello"
)

// refuseSome has names that begin with "no." refused.
func refuseSome(_ *gateway, o *Options) {
	route := o.Route
	o.Route = func(h *hello.Hello, a netip.AddrPort, d *Decision) {
		if route(h, a, d); strings.HasPrefix(string(h.ServerName), "no.") {
			d.Refuse = UnknownApp
		}
	}
}

// refused connects a client that is refused and stays, and returns how its connection
// ended: with the alert, or with an error before it.
func (g *gateway) refused() (*net.TCPConn, error) {
	g.t.Helper()
	c := g.dial()
	write(g.t, c, helloFor(g.t, "no.test"))
	b, err := io.ReadAll(c)
	if err == nil && len(b) != 7 {
		g.t.Errorf("% x in place of an alert", b)
	}
	return c, err
}

// Refused clients that stay hold a descriptor each: beyond their share they are reset,
// and within it they take no place of a client that is served.
func TestRefusedClientsThatStayAreBounded(t *testing.T) {
	g := start(t, func(g *gateway, o *Options) {
		refuseSome(g, o)
		o.MaxConnections, o.MaxLingering = 3, 4
	}).to(afterHello(t, echo))
	var resets uint64
	for range 20 {
		if _, err := g.refused(); errors.Is(err, syscall.ECONNRESET) {
			resets++
		} else if err != nil {
			t.Error(err)
		}
		if n := g.lingering.Load(); n > 4 {
			t.Errorf("%d linger", n)
		}
	}
	if counted := g.sum(func(s *loopStats) uint64 { return s.reset.Load() }); resets == 0 || counted != resets {
		t.Errorf("%d were reset, %d are counted", resets, counted)
	}
	eventually(t, "nobody but who lingers", func() bool { return g.open.Load() == g.lingering.Load() })
	mustEcho(t, g.pass())
	eventually(t, "nobody to linger", func() bool { return g.lingering.Load() == 0 })
}

// Clients that say nothing, or do not end their hello, do not keep others out: whoever
// has waited longest goes.
func TestSilentClientsMakeRoom(t *testing.T) {
	for name, said := range map[string]int{"silent": 0, "in mid-hello": 20} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(_ *gateway, o *Options) { o.Loops, o.MaxConnections = 1, 3 }).to(afterHello(t, echo))
			var others []*net.TCPConn
			for range 3 {
				c := g.dial()
				write(t, c, helloFor(t, "app.test")[:said])
				others = append(others, c)
			}
			eventually(t, "three connections", func() bool { return g.open.Load() == 3 })
			for range 2 {
				mustEcho(t, g.pass())
			}
			for i, c := range others {
				if i == 2 { // the youngest
					_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				}
				b, err := io.ReadAll(c)
				var late net.Error
				if stays := errors.As(err, &late) && late.Timeout(); stays != (i == 2) {
					t.Errorf("number %d: % x, %v", i, b, err)
				}
			}
			for range 2 {
				if got := g.ended(); got != "connection_limit" {
					t.Errorf("reason %s", got)
				}
			}
		})
	}
}

// sum adds up a counter of the loops.
func (g *gateway) sum(of func(*loopStats) uint64) (n uint64) {
	for _, l := range g.loops {
		n += of(&l.stats)
	}
	return n
}

func TestHedgesAreBounded(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) {
		o.MaxHedges = 1
		o.Timeouts.Connect, o.Timeouts.Hedge = time.Second, 20*time.Millisecond
	}).to(silent(t), silent(t), afterHello(t, echo))
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d: a third try was begun beside two", got)
	}
	if got := g.ended(); got != "dial_timeout" {
		t.Errorf("reason %s", got)
	}
	if n := g.hedges.Load(); n != 0 {
		t.Errorf("%d hedges are still counted", n)
	}
	if g.sum(func(s *loopStats) uint64 { return s.unhedged.Load() }) == 0 {
		t.Error("a hedge that found no place is not counted")
	}
	g.to(silent(t), afterHello(t, echo))
	mustEcho(t, g.pass())
	// A try after one that has failed is not beside it.
	g.to(refusing(t), refusing(t), afterHello(t, echo))
	mustEcho(t, g.pass())
}

// stuck is a connection that takes everything and acknowledges nothing.
type stuck struct {
	net.Conn
	closed atomic.Bool
}

func (*stuck) Write(p []byte) (int, error) { return len(p), nil }

func (s *stuck) Unsent() int {
	if s.closed.Load() {
		return 0
	}
	return 1
}

func (s *stuck) Close() error {
	s.closed.Store(true)
	return s.Conn.Close()
}

// A bridge waits for what its peer has not acknowledged. Peers that never do must not make
// clients that come and go hold more descriptors than connections may.
func TestBridgesThatHaveNotEndedAreBounded(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.MaxConnections, o.MaxHedges = 3, 1 })
	g.backends.Store(&[]Backend{{Name: "stuck", Dial: func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		return &stuck{Conn: near}, nil
	}}})
	for n := range uint64(4) {
		c := g.pass()
		eventually(t, "the hello to be relayed", func() bool {
			return g.sum(func(s *loopStats) uint64 { return s.bytes[0][copying].Load() }) >= (n+1)*uint64(len(helloFor(t, "raw.test")))
		})
		if err := c.SetLinger(0); err != nil {
			t.Fatal(err)
		}
		c.Close()
		g.ended()
	}
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "no_descriptor" {
		t.Errorf("reason %s", got)
	}
	if n := g.bridges.Load(); n != 4 {
		t.Errorf("%d bridges", n)
	}
}
