package dns01

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"

	"github.com/miekg/dns"
)

func TestLaggingNameserverIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	asked := 0
	w.ns2.Edit(func(m *dns.Msg) bool {
		if asked++; asked <= 3 {
			m.Answer, m.Rcode = nil, dns.RcodeNameError
		}
		return true
	})
	c := challenge("gw.example.com", "a")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if n := len(w.ns2.Asked()); n != 4 {
		t.Errorf("the lagging one was asked %d times, want 4", n)
	}
	if n := len(w.ns1.Asked()); n != 1 {
		t.Errorf("the one that had it was asked %d times, want once", n)
	}
}

// wait presents a challenge and waits for it as long as an error takes.
func wait(t *testing.T, s *Solver) error {
	t.Helper()
	s.opts.Timeout = 300 * time.Millisecond
	c := challenge("gw.example.com", "a")
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	err := s.Wait(t.Context(), c)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %q does not tell that the time is over", err)
	}
	return err
}

func TestErrorTellsWhatEachNameserverLacks(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(m *dns.Msg) bool
		want string
	}{
		{"dead", func(*dns.Msg) bool { return false }, "does not answer"},
		{"lagging", func(m *dns.Msg) bool { m.Answer = nil; return true }, "has 0 other values"},
		{"refusing", func(m *dns.Msg) bool { m.Answer, m.Rcode = nil, dns.RcodeRefused; return true }, "REFUSED"},
		{"lame", func(m *dns.Msg) bool { m.Authoritative = false; return true }, "without authority"},
		{"another value", func(m *dns.Msg) bool { m.Answer[0].(*dns.TXT).Txt[0] = "x"; return true }, "has 1 other values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.ns2.Edit(c.edit)
			err := wait(t, w.solver(t, Options{}))
			mustFail(t, err, "nameserver ns2.example.com.", c.want, "zone example.com.")
			if strings.Contains(err.Error(), "ns1") {
				t.Errorf("error %q blames the one that has it", err)
			}
		})
	}
}

// It may be an IPv6 address that is not reached from here.
func TestOneSilentAddressDoesNoHarm(t *testing.T) {
	w := newWorld(t)
	w.resolver.Add("ns2.example.com. 60 IN A 127.0.0.4")
	if err := wait(t, w.solver(t, Options{})); err != nil {
		t.Error(err)
	}
}

func TestOneLaggingAddressIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.resolver.Add("ns2.example.com. 60 IN A 127.0.0.4")
	dnstest.New(t, fmt.Sprintf("127.0.0.4:%d", w.ns1.Addr.Port()))
	mustFail(t, wait(t, w.solver(t, Options{})), "ns2.example.com.", "has 0 other values")
}

func TestManyValuesAreReadByTCP(t *testing.T) {
	w := newWorld(t)
	for i := range 60 {
		w.ns1.Add(fmt.Sprintf("_acme-challenge.gw.example.com. 60 IN TXT %q", strings.Repeat("x", 40)+fmt.Sprint(i)))
	}
	if err := wait(t, w.solver(t, Options{})); err != nil {
		t.Error(err)
	}
	if n := len(w.ns1.Asked()); n != 2 {
		t.Errorf("it was asked %d times, want by UDP and by TCP", n)
	}
}

func TestNamedNameserversAreAskedInstead(t *testing.T) {
	w := newWorld(t)
	w.ns2.Edit(func(*dns.Msg) bool { return false })
	cache := dnstest.New(t, "127.0.0.1:0", "_acme-challenge.gw.example.com. 60 IN CNAME other.example.com.")
	cache.Edit(func(m *dns.Msg) bool { m.Authoritative = false; return true })
	w.resolver.Add("_acme-challenge.gw.example.com. 60 IN CNAME other.example.com.")
	w.provider.servers = append(w.provider.servers, cache)
	if err := wait(t, w.solver(t, Options{Nameservers: []netip.AddrPort{cache.Addr}})); err != nil {
		t.Error(err)
	}
}

func TestNameserversThatCannotBeFoundAreTriedAgain(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	asked := 0
	w.resolver.Edit(func(m *dns.Msg) bool {
		if m.Question[0].Qtype == dns.TypeNS {
			if asked++; asked == 1 {
				m.Rcode = dns.RcodeServerFailure
			}
		}
		return true
	})
	if err := wait(t, s); err != nil {
		t.Error(err)
	}
}

func TestZoneWithoutNameserversIsAnError(t *testing.T) {
	w := newWorld(t)
	w.resolver.Remove("example.com. 60 IN NS ns1.example.com.")
	w.resolver.Remove("example.com. 60 IN NS ns2.example.com.")
	mustFail(t, wait(t, w.solver(t, Options{})), "zone example.com. has no NS records")
	w.resolver.Add("example.com. 60 IN NS ns3.example.com.")
	mustFail(t, wait(t, w.solver(t, Options{})), "nameserver ns3.example.com.", "has no address")
}

func TestCancelEndsTheWait(t *testing.T) {
	w := newWorld(t)
	w.provider.servers = nil
	s := w.solver(t, Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	w.ns1.Edit(func(*dns.Msg) bool { cancel(stopping); return true })
	if err := s.Wait(ctx, challenge("gw.example.com", "a")); !errors.Is(err, stopping) {
		t.Errorf("got %v", err)
	}
}
