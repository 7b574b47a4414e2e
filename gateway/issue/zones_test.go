package issue

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/acme"
	"sallyport/acme/caa"
	"sallyport/acme/nameserver"
	"sallyport/config"
)

// An authority that does not answer for a while must not open the domain to others.
func TestPinsStayWhileAnAuthorityIsSilent(t *testing.T) {
	k := &zoneKeeper{
		pins: caa.NewPins(methodDNS), domains: []config.Domain{{Name: "gw.example", ACME: true}},
		embedded: config.Embedded{Zone: config.ZoneDomain, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.7")}},
	}
	account := acme.Account{Directory: "https://ca.example/dir", URI: "https://ca.example/1", Identities: []string{"ca.example"}}
	k.accounts = func(context.Context) ([]acme.Account, error) { return []acme.Account{account}, nil }
	var err error
	if k.server, err = nameserver.New(nameserver.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, identities := range [][]string{{"ca.example"}, nil} {
		account.Identities = identities
		if err := k.pin(t.Context()); err != nil || len(k.caa) != 2 {
			t.Errorf("told %q: %v, %v", identities, k.caa, err)
		}
	}
}

func TestZonesAreTheDomainsOrTheirChallenges(t *testing.T) {
	node := []netip.Addr{netip.MustParseAddr("203.0.113.7")}
	domains := []config.Domain{{Name: "a.example", ACME: true}, {Name: "files.example"}, {Name: "b.example", ACME: true}}
	whole := zones(config.Embedded{Zone: config.ZoneDomain, Addresses: node}, domains, nil)
	var delegations []string
	for _, z := range whole {
		delegations = append(delegations, z.Delegation())
	}
	challenge := zone(config.Embedded{
		Zone: config.ZoneChallenge, Addresses: node,
		Nameservers: []config.Nameserver{{Name: "ns1.example"}, {Name: "ns2.example", Addresses: node}},
	}, "a.example", nil)
	delegations = append(delegations, challenge.Delegation())
	want := []string{
		"a.example. NS ns.a.example.; ns.a.example. A 203.0.113.7", "b.example. NS ns.b.example.; ns.b.example. A 203.0.113.7",
		"_acme-challenge.a.example. NS ns1.example.; _acme-challenge.a.example. NS ns2.example.",
	}
	if d := cmp.Diff(want, delegations); d != "" || challenge.Addresses != nil {
		t.Errorf("addresses %v, -want +got:\n%s", challenge.Addresses, d)
	}
}

// A rehearsal's account is permitted beside the others; and nothing is said while an
// authority has told no name, for it would be refused.
func TestPinsOfARehearsalAndOfANamelessAuthority(t *testing.T) {
	k := &zoneKeeper{pins: caa.NewPins(methodDNS)}
	account := acme.Account{Directory: "https://acme-v02.api.letsencrypt.org/directory", URI: "https://le/1"}
	k.rehearse(caa.Account{Directory: "https://acme-staging-v02.api.letsencrypt.org/directory", URI: "https://staging/1"})
	k.rehearse(caa.Account{Directory: "https://ca.example/dir", URI: "https://ca.example/1"}) // tells no name
	if got, err := k.recordsLocked([]acme.Account{account}); err != nil || len(got) != 4 {
		t.Errorf("%v, %v; want issue and issuewild of both", got, err)
	}
	if got, err := k.recordsLocked([]acme.Account{account, {Directory: "https://ca.example/dir"}}); err != nil || got != nil {
		t.Errorf("an authority without a name: %v, %v", got, err)
	}
}
