package nameserver

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// base is a base domain; delegated is a challenge of a domain that is elsewhere.
func base() Zone {
	return Zone{
		Name:      "gw.example",
		NS:        []NameServer{{Name: "ns1.gw.example", Addresses: addresses("203.0.113.1")}, {Name: "ns2.elsewhere.example"}},
		Addresses: addresses("192.0.2.1", "192.0.2.2", "2001:db8::1"),
		CAA:       []CAA{{Tag: "issuewild", Value: "ca.example; validationmethods=dns-01"}, {Critical: true, Tag: "issue", Value: ";"}},
		Contact:   "dns.master@example.com",
	}
}

func delegated() Zone {
	return Zone{Name: "_acme-challenge.www.customer.example", NS: []NameServer{{Name: "ns1.gw.example"}}}
}

func addresses(s ...string) (addrs []netip.Addr) {
	for _, a := range s {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}

func newTestServer(t testing.TB, o Options) *Server {
	t.Helper()
	o.Log = slog.New(slog.DiscardHandler)
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start serves on a free port of loopback until the test ends.
func start(t testing.TB, o Options) (*Server, netip.AddrPort) {
	t.Helper()
	if o.Listen == nil {
		o.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	}
	s := newTestServer(t, o)
	bound, err := s.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s, bound[0]
}

func present(t testing.TB, s *Server, name string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := s.Present(name, v); err != nil {
			t.Fatal(err)
		}
	}
}

func question(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(name, qtype)
}

// ask returns what s answers to m, by way of both messages' wire form.
func ask(t testing.TB, s *Server, how transport, m *dns.Msg) *dns.Msg {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	r := askWire(t, s, how, wire)
	if r == nil {
		t.Fatalf("no answer to %v", m)
	}
	if r.Id != m.Id || !r.Response || r.RecursionAvailable || r.AuthenticatedData || r.Opcode != m.Opcode {
		t.Errorf("header of the answer: %+v", r.MsgHdr)
	}
	return r
}

func askWire(t testing.TB, s *Server, how transport, wire []byte) *dns.Msg {
	t.Helper()
	b := s.reply(how, netip.Addr{}, wire, nil)
	if s.bugLogged.Load() != 0 {
		t.Fatalf("a panic answering %x", wire)
	}
	if b == nil {
		return nil
	}
	r := new(dns.Msg)
	if err := r.Unpack(b); err != nil {
		t.Fatalf("answer %x to %x: %v", b, wire, err)
	}
	return r
}

// show writes a section in one line: the records without class and TTL.
func show(rrs []dns.RR) string {
	var lines []string
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		f := strings.Fields(rr.String())
		if rr.Header().Rrtype == dns.TypeSOA {
			f = f[:4]
		}
		lines = append(lines, f[0]+" "+strings.Join(f[3:], " "))
	}
	return strings.Join(lines, " | ")
}
