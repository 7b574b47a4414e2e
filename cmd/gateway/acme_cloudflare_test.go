package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"sallyport/internal/gwtest/cloudflare"
	"sallyport/internal/gwtest/pebble"
)

// newCloudSite is a gateway whose domain is in a zone at Cloudflare, which answers
// with what the API has been given.
func (w *acmeWorld) newCloudSite(t *testing.T, zone, section, token string) (*acmeSite, *cloudflare.API) {
	t.Helper()
	api := cloudflare.New(t, "other.test", zone)
	w.dns.Handle(zone, hosted(zone, api))
	s := w.newSite(t, "gw."+zone, "")
	s.configure(fmt.Sprintf("[[domain]]\nname = %q\nacme = true\n", s.domain),
		fmt.Sprintf("dns = \"cloudflare\"\npropagation_nameservers = [%q]\ncloudflare = { token_file = \"token\", base_url = %q }\n", w.dns.Addr, api.BaseURL)+section)
	if err := os.WriteFile(s.path("token"), []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s, api
}

// hosted answers for a zone with the TXT records at api.
func hosted(zone string, api *cloudflare.API) pebble.Answer {
	rest := elsewhere(zone)
	return func(q *dns.Msg) *dns.Msg {
		a := rest(q)
		asked := q.Question[0]
		if asked.Qtype != dns.TypeTXT {
			return a
		}
		head := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}
		for _, text := range api.Texts(zone, strings.TrimSuffix(dns.CanonicalName(asked.Name), ".")) {
			a.Answer = append(a.Answer, &dns.TXT{Hdr: head, Txt: []string{strings.Trim(text, `"`)}})
		}
		return a
	}
}

func testCloudflare(t *testing.T, w *acmeWorld, binding string) {
	s, api := w.newCloudSite(t, "cloud.test", binding, cloudflare.Token)
	const name = "_acme-challenge.gw.cloud.test"
	api.Put("cloud.test", cloudflare.Record{ID: "x", Type: "TXT", Name: name, Content: `"somebody's"`})
	if code, said := s.run("check"); code != 0 {
		t.Fatalf("check: %s", said)
	}
	cmd := s.gateway()
	first := s.certified("*.gw.cloud.test", "")
	s.certified("*.gw.cloud.test", first.Serial)
	if _, err := s.shown("health.gw.cloud.test"); err != nil {
		t.Error(err)
	}
	s.end(cmd) // what it has begun is put away
	if left := api.Texts("cloud.test", name); len(left) != 1 || left[0] != `"somebody's"` {
		t.Errorf("the challenges' name has %q, want what was there before", left)
	}
	made := 0
	for _, call := range api.Calls() {
		if call == "POST /zones/id-of-cloud.test/dns_records" {
			made++
		}
	}
	if made < 2 {
		t.Errorf("%d records were made, want one for each certificate", made)
	}
}

func testWrongToken(t *testing.T, w *acmeWorld) {
	const token = "not-a-token-that-anybody-has-made-0000000"
	s, _ := w.newCloudSite(t, "fog.test", "", token)
	s.gateway()
	now := s.trouble("*.gw.fog.test", "Invalid access token", "Zone / Zone / Read")
	if strings.Contains(now.LastError, token) {
		t.Errorf("the error tells the token: %s", now.LastError)
	}
}
