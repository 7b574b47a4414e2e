package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sallyport/internal/gwtest/pebble"
)

// aliased is the DNS of a domain that somebody else has, but for its challenges: they
// are an alias of target, for which server answers.
func aliased(domain, target, server string) pebble.Answer {
	rest := elsewhere(domain)
	return func(q *dns.Msg) *dns.Msg {
		asked := q.Question[0]
		if dns.CanonicalName(asked.Name) != "_acme-challenge."+domain+"." {
			return rest(q)
		}
		a := new(dns.Msg).SetReply(q)
		a.Answer = append(a.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 1}, Target: target + "."})
		if asked.Qtype != dns.TypeCNAME {
			m, err := dns.Exchange(new(dns.Msg).SetQuestion(target+".", asked.Qtype), server)
			if err != nil {
				return nil
			}
			a.Rcode, a.Answer = m.Rcode, append(a.Answer, m.Answer...)
		}
		return a
	}
}

func issued(domains ...string) (text string) {
	for _, d := range domains {
		text += fmt.Sprintf("[[domain]]\nname = %q\nacme = true\ninclude_apex = true\n", d)
	}
	return text
}

// One domain is delegated to the gateway, the other one has its DNS elsewhere.
func testAliasIntoDomain(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "home.test", "")
	w.dns.Handle("guest.test", aliased("guest.test", "guest.home.test", s.dns))
	s.configure(issued("home.test", "guest.test"), s.embedded())
	s.guestIsServed("guest.test")
}

func testAliasIntoChallenges(t *testing.T, w *acmeWorld) {
	s := w.newChallengeSite(t, "host.test", "")
	w.dns.Handle("visitor.test", aliased("visitor.test", "visitor._acme-challenge.host.test", s.dns))
	s.configure(issued("host.test", "visitor.test"), s.embedded()+"embedded.zone = \"challenge\"\n")
	s.guestIsServed("visitor.test")
}

// guestIsServed runs the gateway until guest has its certificates, for which the name
// has two values.
func (s *acmeSite) guestIsServed(guest string) {
	s.t.Helper()
	s.gateway()
	s.certified("*."+guest, "")
	s.certified(guest, "")
	s.certified("*."+s.domain, "")
	for _, name := range []string{"health." + guest, guest, "health." + s.domain} {
		if _, err := s.shown(name, "http/1.1"); err != nil {
			s.t.Errorf("%s: %v", name, err)
		}
	}
}

func testAliasElsewhere(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "near.test", "")
	w.dns.Handle("far.test", aliased("far.test", "far.nobody.test", w.dns.Addr.String()))
	s.configure(issued("near.test", "far.test"), s.embedded())
	s.gateway()
	s.trouble("*.far.test", "nothing was ordered", "far.test. NS ns.far.test.",
		"_acme-challenge.far.test. is one of far.nobody.test., which is in no zone that this gateway serves")
}

// "*.domain CNAME node" beside the challenges is no alias of theirs: it is gone where
// a record of their own is made.
func testWildcardIsNoAlias(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "node.test", "")
	rest := elsewhere("wild.test")
	w.dns.Handle("wild.test", func(q *dns.Msg) *dns.Msg {
		a := rest(q)
		if name := q.Question[0].Name; strings.HasSuffix(strings.ToLower(name), ".wild.test.") {
			a.Answer = append(a.Answer, &dns.CNAME{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeCNAME, Class: dns.ClassINET, Ttl: 1}, Target: "node.test."})
		}
		return a
	})
	s.configure(issued("node.test", "wild.test"), s.embedded())
	s.gateway()
	if now := s.trouble("*.wild.test", "nothing was ordered", "wild.test. NS ns.wild.test."); strings.Contains(now.LastError, "alias") {
		t.Errorf("it takes the wildcard for an alias: %s", now.LastError)
	}
}
