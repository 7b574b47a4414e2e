package dns01

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestPlaceOfAChallenge(t *testing.T) {
	const soa = " 60 IN SOA ns. root. 1 60 60 60 60"
	for _, c := range []struct {
		name, domain string
		records      []string
		want         place
	}{
		{"in the zone above", "gw.example.com", nil, place{"_acme-challenge.gw.example.com.", "example.com."}},
		{"upper case", "GW.Example.COM", nil, place{"_acme-challenge.gw.example.com.", "example.com."}},
		{"in its own zone", "gw.example.com", []string{"gw.example.com." + soa}, place{"_acme-challenge.gw.example.com.", "gw.example.com."}},
		{
			"challenge zone", "gw.example.com",
			[]string{"_acme-challenge.gw.example.com." + soa},
			place{"_acme-challenge.gw.example.com.", "_acme-challenge.gw.example.com."},
		},
		{
			"delegated by an alias", "gw.example.com",
			[]string{"_acme-challenge.gw.example.com. 60 IN CNAME gw.acme.example.net.", "example.net." + soa},
			place{"gw.acme.example.net.", "example.net."},
		},
		{
			"delegated twice", "gw.example.com",
			[]string{
				"_acme-challenge.gw.example.com. 60 IN CNAME a.example.net.", "a.example.net. 60 IN CNAME b.example.org.",
				"example.net." + soa, "example.org." + soa,
			},
			place{"b.example.org.", "example.org."},
		},
		{
			"wildcard beside it", "gw.example.com",
			[]string{"*.gw.example.com. 60 IN CNAME node.example.net.", "example.net." + soa},
			place{"_acme-challenge.gw.example.com.", "example.com."},
		},
		{
			"delegated in spite of a wildcard", "gw.example.com",
			[]string{"*.gw.example.com. 60 IN CNAME node.example.com.", "_acme-challenge.gw.example.com. 60 IN CNAME a.example.net.", "example.net." + soa},
			place{"a.example.net.", "example.net."},
		},
		{
			"alias of the domain", "gw.example.com",
			[]string{"gw.example.com. 60 IN CNAME other.example.net.", "other.example.net." + soa},
			place{"_acme-challenge.gw.example.com.", "example.com."},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.resolver.Add(c.records...)
			s := w.solver(t, Options{})
			got, err := s.place(t.Context(), challenge(c.domain, "a"))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestPlaceIsRemembered(t *testing.T) {
	w := newWorld(t)
	s := w.solver(t, Options{})
	for range 2 {
		if _, err := s.place(t.Context(), challenge("gw.example.com", "a")); err != nil {
			t.Fatal(err)
		}
	}
	asked := w.resolver.Asked()
	want := []string{"_acme-challenge.gw.example.com. CNAME", "_acme-challenge.gw.example.com. SOA", "gw.example.com. SOA", "example.com. SOA"}
	if !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestAliasLoopIsRefused(t *testing.T) {
	w := newWorld(t)
	w.resolver.Add("_acme-challenge.gw.example.com. 60 IN CNAME a.example.com.", "a.example.com. 60 IN CNAME b.example.com.", "b.example.com. 60 IN CNAME a.example.com.")
	err := w.solver(t, Options{}).Present(t.Context(), challenge("gw.example.com", "a"))
	mustFail(t, err, "loop", "_acme-challenge.gw.example.com. → a.example.com. → b.example.com. → a.example.com.")
	if w.provider.called() != "" {
		t.Error("the provider was asked")
	}
}

func TestAliasesAreBounded(t *testing.T) {
	for _, c := range []struct {
		aliases int
		ok      bool
	}{{maxAliases, true}, {maxAliases + 1, false}} {
		w := newWorld(t)
		from := "_acme-challenge.gw.example.com."
		for i := range c.aliases {
			to := fmt.Sprintf("alias%d.example.com.", i)
			w.resolver.Add(from + " 60 IN CNAME " + to)
			from = to
		}
		err := w.solver(t, Options{}).Present(t.Context(), challenge("gw.example.com", "a"))
		if c.ok && err != nil {
			t.Errorf("%d aliases: %v", c.aliases, err)
		} else if !c.ok {
			mustFail(t, err, "more than 8 aliases")
		}
	}
}

func TestNoZoneIsAnError(t *testing.T) {
	w := newWorld(t)
	mustFail(t, w.solver(t, Options{}).Present(t.Context(), challenge("gw.example.net", "a")), "_acme-challenge.gw.example.net.", "no zone is found")
}

// The zone above would take the record, and nobody would find it there.
func TestResolverFailureIsNoAbsence(t *testing.T) {
	w := newWorld(t)
	w.resolver.Edit(func(m *dns.Msg) bool {
		if m.Question[0].Name == "gw.example.com." {
			m.Rcode = dns.RcodeServerFailure
		}
		return true
	})
	err := w.solver(t, Options{}).Present(t.Context(), challenge("gw.example.com", "a"))
	mustFail(t, err, "gw.example.com. SOA", "SERVFAIL")
	if w.provider.called() != "" {
		t.Error("the provider was asked")
	}
}

func TestHostileDomainIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, domain := range []string{"", "a..b", strings.Repeat("a", 64) + ".example.com", strings.Repeat("a.", 130) + "com"} {
		if err := w.solver(t, Options{}).Present(t.Context(), challenge(domain, "a")); err == nil {
			t.Errorf("%q is accepted", domain)
		}
	}
}
