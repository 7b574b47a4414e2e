package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sallyport/internal/gwtest/pebble"
)

// elsewhere is the domain's DNS where somebody else has it: it has CAA records, or none.
func elsewhere(zone string, values ...string) pebble.Answer {
	return func(q *dns.Msg) *dns.Msg {
		a := new(dns.Msg).SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
		switch {
		case head.Name != dns.CanonicalName(zone):
		case head.Rrtype == dns.TypeSOA:
			a.Answer = append(a.Answer, &dns.SOA{Hdr: head, Ns: "ns.invalid.", Mbox: "m.invalid."})
		case head.Rrtype == dns.TypeCAA:
			for _, v := range values {
				a.Answer = append(a.Answer, &dns.CAA{Hdr: head, Tag: "issue", Value: v})
			}
		}
		return a
	}
}

// newChallengeSite is a gateway that answers for the challenges of a domain alone.
func (w *acmeWorld) newChallengeSite(t *testing.T, domain, section string, caa ...string) *acmeSite {
	t.Helper()
	s := w.newEmbedded(t, domain, section+"embedded.zone = \"challenge\"\n")
	w.dns.Handle(domain, elsewhere(domain, caa...))
	w.dns.Delegate("_acme-challenge."+domain, s.dns)
	return s
}

func testChallengeZone(t *testing.T, w *acmeWorld) {
	s := w.newChallengeSite(t, "part.test", "")
	s.gateway()
	s.certified("*.part.test", "")
	m, err := dns.Exchange(new(dns.Msg).SetQuestion("part.test.", dns.TypeA), s.dns)
	if err != nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("asked for the rest of the domain it says %v, %v", m, err)
	}
}

func testFallback(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "second.test", fmt.Sprintf("\ndirectory = \"https://localhost:1/dir\"\nfallback = { directory = %q, roots = \"roots.pem\" }\n", w.Directory))
	s.gateway()
	s.certified("*.second.test", "")
	if _, err := s.shown("health.second.test"); err != nil {
		t.Error(err)
	}
}

func testRefusedByCAA(t *testing.T, w *acmeWorld) {
	dir := w.NewDirectory(t, w.ca, "pebble.test")
	section := fmt.Sprintf("\ndirectory = %q\n", dir.URL)
	s := w.newChallengeSite(t, "caa.test", section, "other.example")
	s.gateway()
	s.trouble("*.caa.test", "nothing was ordered", "other.example", "permits another authority",
		`to permit it, add: caa.test. IN CAA 0 issuewild "pebble.test;validationmethods=dns-01;accounturi=https://`)
	if code, said := s.run("acme", "caa"); code != 1 || !strings.Contains(said, "REFUSED") {
		t.Errorf("caa: %d, %s", code, said)
	}
	if code, said := s.run("acme", "caa", "--set"); code != 1 || !strings.Contains(said, "set the records that gateway acme caa prints") {
		t.Errorf("caa --set: %d, %s", code, said)
	}
}
