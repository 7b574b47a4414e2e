package rfc2136

import (
	"net/netip"
	"testing"

	"sallyport/acme/caa"
	"sallyport/acme/dns01"
	"sallyport/internal/dnsquery"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3/acme"
)

// The parts together, with a server that nobody has written here.
func TestBINDWithSolverAndPreflight(t *testing.T) {
	b := newBind(t)
	p := b.provider(t, "sha256.", "")
	t.Run("challenge", func(t *testing.T) {
		testChallenge(t, b, p, "gw.example.com", "_acme-challenge.gw.example.com.")
	})
	t.Run("challenge that is an alias", func(t *testing.T) {
		testChallenge(t, b, p, "delegated.example.com", "delegated.challenges.example.com.")
	})
	t.Run("pinned CAA records", func(t *testing.T) { testPin(t, b, p) })
}

// testChallenge solves one for domain, whose record is kept at name.
func testChallenge(t *testing.T, b *bind, p *Provider, domain, name string) {
	t.Helper()
	servers := []netip.AddrPort{b.addr}
	s, err := dns01.New(dns01.Options{Provider: p, Resolvers: servers, Nameservers: servers})
	if err != nil {
		t.Fatal(err)
	}
	c := acme.Challenge{Type: "dns-01", KeyAuthorization: "token.key", Identifier: acme.Identifier{Type: "dns", Value: domain}}
	if err := s.Present(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context(), c); err != nil {
		t.Error(err)
	}
	if got := b.texts(t, name); len(got) != 1 || got[0] != c.DNS01KeyAuthorization() {
		t.Errorf("the name has %q", got)
	}
	if err := s.CleanUp(t.Context(), c); err != nil {
		t.Error(err)
	}
	if got := b.texts(t, name); got != nil {
		t.Errorf("the name still has %q", got)
	}
}

func testPin(t *testing.T, b *bind, p *Provider) {
	const account = "https://ca.example/account/1"
	old := []libdns.Record{
		libdns.CAA{Name: "gw", Tag: "issue", Value: "pki.goog"},
		libdns.CAA{Name: "gw", Tag: "iodef", Value: "mailto:a@example.com"},
	}
	if _, err := p.AppendRecords(t.Context(), zone, old); err != nil {
		t.Fatal(err)
	}
	pin, err := caa.Records("gw.example.com", "ca.example", account, []string{"dns-01"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := caa.Set(t.Context(), p, zone, pin); err != nil {
			t.Fatal(err)
		}
		if got, err := p.CAARecords(t.Context(), zone, "gw"); err != nil || len(got) != 3 {
			t.Errorf("got %v, %v: want issue, issuewild and iodef", got, err)
		}
	}
	r := dnsquery.Resolver{Servers: []netip.AddrPort{b.addr}}
	q := caa.Request{Name: "gw.example.com", Wildcard: true, Identities: []string{"ca.example"}, AccountURI: account, Method: "dns-01"}
	if err := caa.Check(t.Context(), r, q); err != nil {
		t.Error(err)
	}
	q.AccountURI += "2"
	mustFail(t, caa.Check(t.Context(), r, q), "permits another account", "gw.example.com.")
}
