package nameserver

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"
)

// patience is for what happens in milliseconds.
const patience = 20 * time.Second

func dialUDP(t testing.TB, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return c
}

// exchange sends query and returns the answer.
func exchange(t testing.TB, c net.Conn, query []byte) []byte {
	t.Helper()
	if _, err := c.Write(query); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, maxTCP)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func counted(t testing.TB, c prometheus.Counter, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(c); got != want {
		t.Errorf("%v: %v, want %v", c.Desc(), got, want)
	}
}

// A server at all addresses answers from the one that was asked: clients believe no
// other. These sockets are connected, so the kernel holds it.
func TestAnswerComesFromTheAddressThatWasAsked(t *testing.T) {
	for _, tc := range []struct{ listen, ask string }{
		{"0.0.0.0:0", "127.0.0.1"}, {"0.0.0.0:0", "127.3.2.1"}, {"[::]:0", "::1"},
	} {
		_, at := start(t, Options{Zones: []Zone{base()}, Listen: []netip.AddrPort{netip.MustParseAddrPort(tc.listen)}})
		c := dialUDP(t, netip.AddrPortFrom(netip.MustParseAddr(tc.ask), at.Port()))
		exchange(t, c, packed(t, func(*dns.Msg) {}))
	}
}

func TestNetworkThatDrawsTooMuchIsSentToTCP(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base()}, ExcessPerSource: 200})
	c := dialUDP(t, at)
	query := packed(t, func(m *dns.Msg) { m.SetQuestion("gw.example.", dns.TypeCAA).SetEdns0(1232, false) })
	full, cut, excess := 0, 0, 0
	began := time.Now()
	for range 20 {
		b := exchange(t, c, query)
		excess += len(b) - len(query)
		r := new(dns.Msg)
		if err := r.Unpack(b); err != nil {
			t.Fatal(err)
		}
		switch {
		case !r.Truncated && len(r.Answer) == 2:
			full++
		case r.Truncated && len(b) == len(query) && len(r.Answer) == 0 && r.IsEdns0() != nil:
			cut++
		default:
			t.Errorf("%v", r)
		}
	}
	if full == 0 || cut == 0 {
		t.Errorf("%d answers are whole, %d cut", full, cut)
	}
	if most := 200 * (1 + time.Since(began).Seconds()); float64(excess) > most { // a second at once
		t.Errorf("the answers have %d bytes more than the queries, want at most %.0f", excess, most)
	}
	counted(t, s.metrics.limited, float64(cut))
	counted(t, s.metrics.answers[udp][dns.RcodeSuccess], 20)

	co := dialTCP(t, at)
	for range 20 {
		if r := co.ask(t, query); r.Truncated {
			t.Fatal("by TCP it is cut too")
		}
	}
}

func TestOtherMessagesAreDropped(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base()}})
	c := dialUDP(t, at)
	for _, b := range [][]byte{{1}, make([]byte, 11), packed(t, func(m *dns.Msg) { m.Response = true }), make([]byte, maxQuery+1)} {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	exchange(t, c, packed(t, func(*dns.Msg) {})) // and nothing before it
	counted(t, s.metrics.ignored, 4)
}

// A panic on the goroutine of a socket or of a connection would end the process, and
// with it the test.
func TestPanicGetsNoAnswer(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base()}})
	query := packed(t, func(*dns.Msg) {})
	good := s.view.Swap(nil) // a bug
	u := dialUDP(t, at)
	if _, err := u.Write(query); err != nil {
		t.Fatal(err)
	}
	c := dialTCP(t, at)
	if _, err := c.Write(framed(query)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("the connection goes on: %d bytes, %v", n, err)
	}
	for deadline := time.Now().Add(patience); testutil.ToFloat64(s.metrics.ignored) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the datagram is not counted as ignored")
		}
		runtime.Gosched()
	}
	if s.bugLogged.Load() == 0 {
		t.Error("the log does not report it")
	}
	s.view.Store(good)
	exchange(t, u, query)
}

func TestTakenPortIsReportedAtTheStart(t *testing.T) {
	_, at := start(t, Options{})
	s := newTestServer(t, Options{Listen: []netip.AddrPort{at}})
	_, err := s.Listen(t.Context())
	if err == nil || !strings.Contains(err.Error(), at.String()) || !strings.Contains(err.Error(), "systemd-resolved") {
		t.Errorf("%v", err)
	}
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	at = packets.LocalAddr().(*net.UDPAddr).AddrPort()
	if _, err := newTestServer(t, Options{Listen: []netip.AddrPort{at}}).Listen(t.Context()); err == nil {
		t.Error("the port is taken by UDP alone, and no error says so")
	}
	s = newTestServer(t, Options{Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:0")}})
	if _, err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "no such address") {
		t.Errorf("%v", err)
	}
}

// A reply does not name the interface of its query: it may leave by another one.
func TestReplyIsBoundToAnAddressAlone(t *testing.T) {
	four := unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 7, Spec_dst: [4]byte{192, 0, 2, 1}})
	six := unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 7, Addr: [16]byte{0x20, 1}})
	for _, tc := range []struct{ oob, want []byte }{
		{four, unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: [4]byte{192, 0, 2, 1}})},
		{six, unix.PktInfo6(&unix.Inet6Pktinfo{Addr: [16]byte{0x20, 1}})},
		{nil, nil},
	} {
		for n := range tc.oob {
			readControl(bytes.Clone(tc.oob[:n])) // whatever was cut off
		}
		if got, lost := readControl(tc.oob); !bytes.Equal(got, tc.want) || lost != 0 {
			t.Errorf("%x, %d; want %x", got, lost, tc.want)
		}
	}
}

func TestListenTakesAllOrNothing(t *testing.T) {
	_, taken := start(t, Options{})
	first := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), taken.Port())
	if _, err := newTestServer(t, Options{Listen: []netip.AddrPort{first, taken}}).Listen(t.Context()); err == nil {
		t.Fatal("a port that is taken")
	}
	s := newTestServer(t, Options{Listen: []netip.AddrPort{first}})
	if _, err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.close()
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}, Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}})
	bound, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	co := dialTCP(t, bound[0])
	co.ask(t, packed(t, func(*dns.Msg) {}))
	cancel(fmt.Errorf("the operator wants it so"))
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := co.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if again, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(bound[0])); err != nil {
		t.Error(err)
	} else {
		again.Close()
	}
}

// Four clients with 32 queries under way each: every one is answered.
func TestNoQueryIsLost(t *testing.T) {
	const clients, window, queries = 4, 32, 5000
	s, at := start(t, Options{Zones: []Zone{base()}})
	var all sync.WaitGroup
	for range clients {
		c := dialUDP(t, at)
		query := packed(t, func(m *dns.Msg) { m.SetQuestion("app.gw.example.", dns.TypeA).SetEdns0(1232, false) })
		all.Go(func() {
			b := make([]byte, maxUDP)
			for sent, got := 0, 0; got < queries; {
				for ; sent < queries && sent-got < window; sent++ {
					if _, err := c.Write(query); err != nil {
						t.Error(err)
						return
					}
				}
				if _, err := c.Read(b); err != nil {
					t.Errorf("after %d answers: %v", got, err)
					return
				}
				got++
			}
		})
	}
	all.Wait()
	counted(t, s.metrics.answers[udp][dns.RcodeSuccess], clients*queries)
	counted(t, s.metrics.overflowed, 0)
	counted(t, s.metrics.unsent, 0)
}

// FuzzDatagram: after whatever has been received the next query is answered.
func FuzzDatagram(f *testing.F) {
	s, at := start(f, Options{Zones: []Zone{base()}, ExcessPerSource: -1})
	noise, c := dialUDP(f, at), dialUDP(f, at)
	plain := packed(f, func(*dns.Msg) {})
	f.Add(plain)
	f.Add(plain[:11])
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 9000 {
			return
		}
		noise.SetDeadline(time.Now().Add(patience))
		c.SetDeadline(time.Now().Add(patience))
		if _, err := noise.Write(b); err != nil {
			t.Fatal(err)
		}
		if got := exchange(t, c, plain); got[0] != plain[0] || got[1] != plain[1] {
			t.Fatalf("answer %x", got)
		}
		if s.bugLogged.Load() != 0 {
			t.Error("a datagram met a panic")
		}
	})
}

// FuzzControl: what is sent with an answer is a piece of what came, or nothing.
func FuzzControl(f *testing.F) {
	f.Add(unix.PktInfo4(&unix.Inet4Pktinfo{Ifindex: 7, Spec_dst: [4]byte{192, 0, 2, 1}}))
	f.Add(unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: 7}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if source, _ := readControl(b); len(source) > 0 && !bytes.Contains(b, source) {
			t.Errorf("%x is not of %x", source, b)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	s := both(b)
	wire := packed(b, func(m *dns.Msg) { m.SetQuestion("App-443s.gw.example.", dns.TypeA).SetEdns0(1232, false) })
	out := make([]byte, maxTCP)
	b.ReportAllocs()
	for b.Loop() {
		s.reply(udp, netip.Addr{}, wire, out)
	}
}

func BenchmarkUDP(b *testing.B) {
	_, at := start(b, Options{Zones: []Zone{base()}, ExcessPerSource: -1})
	c := dialUDP(b, at)
	wire := packed(b, func(m *dns.Msg) { m.SetQuestion("App-443s.gw.example.", dns.TypeA).SetEdns0(1232, false) })
	out := make([]byte, maxUDP)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(wire); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(out); err != nil {
			b.Fatal(err)
		}
	}
}
