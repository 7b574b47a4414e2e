package dns01

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/dnstest"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3/acme"
)

// challenge is one for a domain; account tells those for it and its wildcard apart.
func challenge(domain, account string) acme.Challenge {
	return acme.Challenge{
		Type: acme.ChallengeTypeDNS01, Token: "token", KeyAuthorization: "token." + account,
		Identifier: acme.Identifier{Type: "dns", Value: domain},
	}
}

// world is the zone example.com on two nameservers, a resolver that knows it, and a
// provider that writes to both.
type world struct {
	resolver, ns1, ns2 *dnstest.Server
	provider           *memory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{resolver: dnstest.New(t, "127.0.0.1:0")}
	w.ns1 = dnstest.New(t, "127.0.0.2:0")
	w.ns2 = dnstest.New(t, fmt.Sprintf("127.0.0.3:%d", w.ns1.Addr.Port()))
	w.resolver.Add(
		"example.com. 60 IN SOA ns1.example.com. root.example.com. 1 60 60 60 60",
		"example.com. 60 IN NS ns1.example.com.",
		"example.com. 60 IN NS ns2.example.com.",
		"ns1.example.com. 60 IN A 127.0.0.2",
		"ns2.example.com. 60 IN A 127.0.0.3",
		"gw.example.com. 60 IN A 192.0.2.1",
	)
	w.provider = &memory{servers: []*dnstest.Server{w.ns1, w.ns2}}
	return w
}

// solver makes one that is fast.
func (w *world) solver(t *testing.T, o Options) *Solver {
	t.Helper()
	o.Provider, o.Resolvers, o.Interval = w.provider, []netip.AddrPort{w.resolver.Addr}, time.Millisecond
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.port = w.ns1.Addr.Port()
	return s
}

// memory is a Provider that writes to nameservers at once.
type memory struct {
	servers []*dnstest.Server

	mu    sync.Mutex
	calls []string
	fail  error
}

func (p *memory) AppendRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, p.each("append", zone, records, func(s *dnstest.Server, line string) {
		s.Remove(line)
		s.Add(line)
	})
}

func (p *memory) DeleteRecords(_ context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, p.each("delete", zone, records, (*dnstest.Server).Remove)
}

func (p *memory) each(action, zone string, records []libdns.Record, f func(*dnstest.Server, string)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range records {
		rr := r.RR()
		p.calls = append(p.calls, action+" "+rr.Name+" "+zone)
		if p.fail != nil {
			return p.fail
		}
		for _, s := range p.servers {
			f(s, fmt.Sprintf("%s %d IN %s %q", libdns.AbsoluteName(rr.Name, zone), rr.TTL/time.Second, rr.Type, rr.Data))
		}
	}
	return nil
}

func (p *memory) called() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.calls, "\n")
}

// mustFail checks that err says all of words.
func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
