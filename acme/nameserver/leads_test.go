package nameserver

import (
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/dnsquery"
	"sallyport/internal/gwtest/dnstest"
)

func TestLeadsFollowsAnAliasOfTheChallengesIntoAServedZone(t *testing.T) {
	zone := func(name string) Zone { return Zone{Name: name, NS: []NameServer{{Name: "ns." + name}}} }
	home, guest := zone("home.test"), zone("guest.test")
	const (
		delegated = "home.test. 60 IN SOA ns.home.test. x. 1 1 1 1 1"
		own       = "guest.test. 60 IN SOA ns.guest.test. x. 1 1 1 1 1"
		elsewhere = "guest.test. 60 IN SOA ns.provider.test. x. 1 1 1 1 1"
	)
	for name, c := range map[string]struct {
		records []string
		says    string // "": it leads here
	}{
		"its own delegation":    {[]string{own}, ""},
		"an alias":              {[]string{delegated, elsewhere, "_acme-challenge.guest.test. 60 IN CNAME guest.home.test."}, ""},
		"no alias":              {[]string{delegated, elsewhere}, "guest.test. NS ns.guest.test."},
		"an alias elsewhere":    {[]string{delegated, elsewhere, "_acme-challenge.guest.test. 60 IN CNAME guest.nobody.test."}, "guest.nobody.test., which is in no zone that this gateway serves"},
		"an undelegated target": {[]string{elsewhere, "_acme-challenge.guest.test. 60 IN CNAME guest.home.test."}, "home.test. NS ns.home.test."},
	} {
		r := dnsquery.Resolver{Servers: []netip.AddrPort{dnstest.New(t, "127.0.0.1:0", c.records...).Addr}}
		err := Leads(t.Context(), r, "guest.test", guest, []Zone{home, guest})
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
