package caa

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/dnsquery"
	"sallyport/internal/gwtest/dnstest"
)

func TestPinsPermitEveryAuthorityThatIsConfigured(t *testing.T) {
	const (
		le     = "https://acme-v02.api.letsencrypt.org/directory"
		google = "https://dv.acme-v02.api.pki.goog/directory"
		own    = "https://ca.example/dir"
		pinLE  = "letsencrypt.org;validationmethods=dns-01;accounturi=https://le/1"
	)
	both := func(value string) []Record {
		return []Record{{Name: "gw.example.", Tag: "issue", Value: value}, {Name: "gw.example.", Tag: "issuewild", Value: value}}
	}
	for _, c := range []struct {
		name     string
		accounts []Account
		want     []Record
		nameless bool
	}{
		{"no account yet", []Account{{Directory: le}}, nil, false},
		{"one account", []Account{{Directory: le, URI: "https://le/1"}}, both(pinLE), false},
		{
			"the second has no account yet",
			[]Account{{Directory: le, URI: "https://le/1"}, {Directory: google}},
			append(both(pinLE), both("pki.goog;validationmethods=dns-01")...), false,
		},
		{"the second tells no name", []Account{{Directory: le, URI: "https://le/1"}, {Directory: own}}, nil, true},
		{
			"a private one tells its name",
			[]Account{{Directory: own, URI: "https://ca.example/1", Identities: []string{"ca.example"}}},
			both("ca.example;validationmethods=dns-01;accounturi=https://ca.example/1"), false,
		},
		{
			"a rehearsal is under way",
			[]Account{{Directory: le, URI: "https://le/1"}, {Directory: "https://acme-staging-v02.api.letsencrypt.org/directory", URI: "https://staging/1"}},
			append(both(pinLE), both("letsencrypt.org;validationmethods=dns-01;accounturi=https://staging/1")...), false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := NewPins("dns-01").Records("gw.example", c.accounts)
			if d := cmp.Diff(c.want, got); d != "" || errors.Is(err, ErrUnidentified) != c.nameless || err != nil && !c.nameless {
				t.Errorf("%v, -want +got:\n%s", err, d)
			}
		})
	}
}

// An authority that does not answer for a while must not open the domain to others.
func TestPinsRememberTheNamesOfAuthorities(t *testing.T) {
	p := NewPins("dns-01")
	account := Account{Directory: "https://ca.example/dir", URI: "https://ca.example/1"}
	for _, told := range [][]string{{"ca.example"}, nil} {
		account.Identities = told
		if list, err := p.Records("gw.example", []Account{account}); err != nil || len(list) != 2 {
			t.Errorf("told %q: %v, %v", told, list, err)
		}
	}
}

func TestStandingSaysWhomTheRecordsPermit(t *testing.T) {
	own := Account{Directory: "https://acme-v02.api.letsencrypt.org/directory", URI: account}
	for _, c := range []struct {
		records []string
		want    Standing
		refused bool
	}{
		{nil, OpenToAll, false},
		{[]string{`gw.example.com. 60 IN CAA 0 issue "letsencrypt.org"`}, OpenToAccounts, false},
		{[]string{`gw.example.com. 60 IN CAA 0 issue "letsencrypt.org;validationmethods=dns-01;accounturi=` + account + `"`}, Pinned, false},
		{[]string{`gw.example.com. 60 IN CAA 0 issue "pki.goog"`}, 0, true},
		{[]string{`gw.example.com. 60 IN CAA 0 issue "letsencrypt.org;validationmethods=http-01"`}, 0, true},
	} {
		r := dnsquery.Resolver{Servers: []netip.AddrPort{dnstest.New(t, "127.0.0.1:0", c.records...).Addr}}
		got, err := NewPins("dns-01").Standing(t.Context(), r, "gw.example.com", false, []Account{own})
		if got != c.want || errors.Is(err, ErrRefused) != c.refused || err != nil && !c.refused {
			t.Errorf("%q: %d, %v; want %d, refused %t", c.records, got, err, c.want, c.refused)
		}
	}
}
