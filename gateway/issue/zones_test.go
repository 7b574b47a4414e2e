package issue

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/acme"
	"sallyport/acme/nameserver"
	"sallyport/config"
)

func TestPinsPermitEveryAuthorityThatIsConfigured(t *testing.T) {
	const (
		le     = "https://acme-v02.api.letsencrypt.org/directory"
		google = "https://dv.acme-v02.api.pki.goog/directory"
		own    = "https://ca.example/dir"
		pinLE  = "letsencrypt.org;validationmethods=dns-01;accounturi=https://le/1"
	)
	both := func(value string) []nameserver.CAA {
		return []nameserver.CAA{{Tag: "issue", Value: value}, {Tag: "issuewild", Value: value}}
	}
	for _, c := range []struct {
		name       string
		accounts   []acme.Account
		rehearsing acme.Account
		want       []nameserver.CAA
	}{
		{"no account yet", []acme.Account{{Directory: le}}, acme.Account{}, nil},
		{"one account", []acme.Account{{Directory: le, URI: "https://le/1"}}, acme.Account{}, both(pinLE)},
		{
			"the second has no account yet",
			[]acme.Account{{Directory: le, URI: "https://le/1"}, {Directory: google}},
			acme.Account{},
			append(both(pinLE), both("pki.goog;validationmethods=dns-01")...),
		},
		{"the second tells no name", []acme.Account{{Directory: le, URI: "https://le/1"}, {Directory: own}}, acme.Account{}, nil},
		{
			"a private one tells its name",
			[]acme.Account{{Directory: own, URI: "https://ca.example/1", Identities: []string{"ca.example"}}},
			acme.Account{},
			both("ca.example;validationmethods=dns-01;accounturi=https://ca.example/1"),
		},
		{
			"a rehearsal is under way",
			[]acme.Account{{Directory: le, URI: "https://le/1"}},
			acme.Account{Directory: "https://acme-staging-v02.api.letsencrypt.org/directory", URI: "https://staging/1"},
			append(both(pinLE), both("letsencrypt.org;validationmethods=dns-01;accounturi=https://staging/1")...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := &zoneKeeper{identities: map[string]string{}, rehearsing: c.rehearsing}
			got, err := k.recordsLocked(c.accounts)
			if d := cmp.Diff(c.want, got); d != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, d)
			}
		})
	}
}

// An authority that does not answer for a while must not open the domain to others.
func TestPinsStayWhileAnAuthorityIsSilent(t *testing.T) {
	k := &zoneKeeper{
		identities: map[string]string{}, domains: []config.Domain{{Name: "gw.example", ACME: true}},
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
