package customdomain

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The customers' zone of the tests over the network. Strings are in the form of a
// zone file: "…" "…" are two strings of one record.
var customers = zone{
	"_dstack-app-address.www.customer.org":       `"app1:443"`,
	"_dstack-app-address-wildcard.customer.org":  `"app2:8443"`,
	"_dstack-app-address.shop.other.example":     `"3327603e03f5bd1f8308" "12ca4a789277fc31f577" ":443"`,
	"_tapp-address.old.other.example":            `"app3:443"`,
	"_tapp-address.both.other.example":           `"app3:443"`,
	"_dstack-app-address.both.other.example":     `"app4:443"`,
	"_dstack-app-address.several.other.example":  `"app6:443"|"v=spf1 -all"|"app5:443"`,
	"_dstack-app-address.broken.customer.org":    `"app1"`,
	"_tapp-address.broken.customer.org":          `"app3:443"`,
	"_tapp-address.oldbroken.customer.org":       `"app3:0"`,
	"_dstack-app-address.large.other.example":    strings.TrimSuffix(strings.Repeat(`"padding of a record that is none"|`, 20), "|") + `|"app7:443"`,
	"_dstack-app-address-wildcard.a.b.c.example": `"app8:443"`,
}

func TestNamesLeadToTheirRecords(t *testing.T) {
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{nameserver(t, customers.serve)}, Legacy: true})
	for _, tc := range []struct {
		name, want string
		err        error
	}{
		{name: "www.customer.org", want: "app1:443"},
		{name: "www.customer.org", want: "app1:443"},
		{name: "any.customer.org", want: "app2:8443"},                                      // wildcard
		{name: "a.any.customer.org", err: ErrNotFound},                                     // one label deep only
		{name: "customer.org", err: ErrNotFound},                                           // not the domain itself
		{name: "x.a.b.c.example", want: "app8:443"},                                        // at any depth
		{name: "shop.other.example", want: "3327603e03f5bd1f830812ca4a789277fc31f577:443"}, // strings are joined
		{name: "old.other.example", want: "app3:443"},                                      // of old guests
		{name: "both.other.example", want: "app4:443"},                                     // the new one counts
		{name: "several.other.example", want: "app5:443"},                                  // the smallest readable
		{name: "large.other.example", want: "app7:443"},                                    // by TCP
		{name: "broken.customer.org", err: ErrBroken},                                      // neither the old one nor the wildcard
		{name: "oldbroken.customer.org", err: ErrBroken},                                   // nor the wildcard
		{name: "nothing.other.example", err: ErrNotFound},
		{name: strings.Repeat("a.", 118) + "customer.org", err: ErrNotFound}, // no room for the prefix
		{name: "not a name", err: ErrNotFound},
		{name: "192.0.2.1", err: ErrNotFound},
	} {
		got, err := r.Lookup(t.Context(), tc.name, client)
		switch {
		case !errors.Is(err, tc.err):
			t.Errorf("%s: %v, want %v", tc.name, err, tc.err)
		case tc.want != "" && got != target(t, tc.want):
			t.Errorf("%s: %v, want %s", tc.name, got, tc.want)
		case err != nil && got != (Target{}):
			t.Errorf("%s: %v beside an error", tc.name, got)
		}
	}
}

func TestTwoDomainsDoNotMix(t *testing.T) {
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{nameserver(t, zone{
		"_dstack-app-address.www.one.example":      `"app1:443"`,
		"_dstack-app-address.www.two.example":      `"app2:443"`,
		"_dstack-app-address-wildcard.one.example": `"app3:443"`,
	}.serve)}})
	for range 2 { // asked, remembered
		for name, want := range map[string]string{"www.one.example": "app1:443", "www.two.example": "app2:443", "x.one.example": "app3:443"} {
			if got, err := r.Lookup(t.Context(), name, client); err != nil || got != target(t, want) {
				t.Errorf("%s: %v, %v; want %s", name, got, err, want)
			}
		}
		if _, err := r.Lookup(t.Context(), "x.two.example", client); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
	}
}

func TestPrefixIsConfigurable(t *testing.T) {
	a := newAskingZone(t, Options{Prefix: "_p", Legacy: true}, zone{"_p-wildcard.customer.org": `"a:1"`})
	if got, err := a.Lookup(t.Context(), "www.customer.org", client); err != nil || got != target(t, "a:1") {
		t.Errorf("%v, %v", got, err)
	}
	want := []string{"_p-wildcard.customer.org.", "_p.www.customer.org.", "_tapp-address.www.customer.org."}
	if got := a.asked(); !slices.Equal(got, want) {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

func TestOldNamesAreAskedForOnlyIfWanted(t *testing.T) {
	for _, o := range []Options{{}, {Legacy: true, Prefix: legacyPrefix}} {
		a := newAskingZone(t, o, zone{})
		if _, err := a.Lookup(t.Context(), "www.customer.org", client); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		if got := a.asked(); len(got) != 2 {
			t.Errorf("%+v: asked for %q", o, got)
		}
	}
}

// Else whoever can disturb the resolver could choose which record counts.
func TestFailureIsNotTakenForAbsence(t *testing.T) {
	for _, failing := range []string{"_dstack-app-address.", "_tapp-address.", "_dstack-app-address-wildcard."} {
		records := zone{"_dstack-app-address-wildcard.customer.org": `"wild:1"`}
		a := newAsking(t, Options{Legacy: true}, func(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			m := records.answer(q)
			if strings.HasPrefix(q.Question[0].Name, failing) {
				m.Rcode = dns.RcodeServerFailure
			}
			return m, nil
		})
		if got, err := a.Lookup(t.Context(), "www.customer.org", client); !errors.Is(err, ErrTemporary) {
			t.Errorf("%s fails: %v, %v", failing, got, err)
		}
	}
}
