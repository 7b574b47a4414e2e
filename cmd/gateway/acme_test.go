package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/pebble"
)

// The whole gateway against Pebble, Let's Encrypt's test authority: what an operator
// writes down, and what clients then see.
func TestCertificatesOfAnAuthority(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, pebble.Options{})
	for name, test := range map[string]func(*testing.T, *acmeWorld){
		"domains come and go by reload":                       testReloadOfDomains,
		"the apex alone is proved on the port for clients":    testApexAlone,
		"validations of passed through names are the app's":   testPassedThrough,
		"a missing delegation is explained before any order":  testMissingDelegation,
		"a rehearsal needs no gateway, or asks the one there": testRehearsal,
		"a damaged stored certificate is replaced":            testDamagedStore,
		"BIND takes signed updates, CAA records too":          testBIND,
		"the domain's CAA records pin the account":            testPins,
		"a zone of challenges is enough":                      testChallengeZone,
		"an alias into the zone of another domain is enough":  testAliasIntoDomain,
		"an alias into another domain's challenges, too":      testAliasIntoChallenges,
		"an alias that leads elsewhere is told":               testAliasElsewhere,
		"a wildcard beside the challenges is no alias":        testWildcardIsNoAlias,
		"the second authority issues while the first is down": testFallback,
		"a CAA record that refuses is named":                  testRefusedByCAA,
		"a token that Cloudflare does not know is told":       testWrongToken,
		"a change of the section is told to need a restart":   testChangedSection,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// Certificates of 12 seconds, so that they are renewed before the eyes of the test, of an
// authority that wants an external account binding.
func TestCertificatesThatRunOut(t *testing.T) {
	t.Parallel()
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w := newACMEWorld(t, pebble.Options{Validity: 12 * time.Second, EAB: map[string]string{"kid-1": key}})
	for name, test := range map[string]func(t *testing.T, w *acmeWorld, binding string){
		"ten lines get a wildcard and renew it":         testTenLines,
		"while the authority is down the old one stays": testAuthorityDown,
		"Cloudflare's zone gets a wildcard, renews it":  testCloudflare,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "eab")
			if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			test(t, w, fmt.Sprintf("\neab_key_id = \"kid-1\"\neab_key_file = %q\n", file))
		})
	}
}

func testTenLines(t *testing.T, w *acmeWorld, binding string) {
	s := w.newEmbedded(t, "ten.test", binding)
	if code, said := s.run("check"); code != 0 {
		t.Fatalf("check: %s", said)
	}
	begun := time.Now()
	s.gateway()
	first := s.certified("*.ten.test", "")
	t.Logf("certificate after %s", time.Since(begun).Round(time.Millisecond))
	w.WriteIssuers(t, s.path("issuers.pem"))
	_, port, _ := strings.Cut(s.clients, ":")
	curl := exec.Command("curl", "-sS", "--fail", "--cacert", s.path("issuers.pem"), "--resolve", "health.ten.test:"+port+":127.0.0.1", "https://health.ten.test:"+port+"/")
	if out, err := curl.CombinedOutput(); err != nil {
		t.Errorf("curl: %v: %s", err, out)
	}
	m, err := dns.Exchange(new(dns.Msg).SetQuestion("any.ten.test.", dns.TypeA), s.dns)
	if err != nil || len(m.Answer) != 1 || !strings.HasSuffix(m.Answer[0].String(), "127.0.0.1") {
		t.Errorf("names of the domain lead to %v, %v", m, err)
	}
	if code, stdout, _ := gwtest.Outcome(t, "status", "--admin", s.admin); code != 1 || !strings.Contains(stdout, "*.ten.test") {
		t.Errorf("status: %d, %s", code, stdout)
	}
	s.certified("*.ten.test", first.Serial)
	if _, err := s.shown("health.ten.test"); err != nil {
		t.Error(err)
	}
}

func testReloadOfDomains(t *testing.T, w *acmeWorld) {
	s := w.newEmbedded(t, "stays.test", "")
	cmd := s.gateway()
	first := s.certified("*.stays.test", "")
	both := "[[domain]]\nname = \"stays.test\"\nacme = true\n[[domain]]\nname = \"comes.test\"\nacme = true\ninclude_apex = true\n"
	w.dns.Delegate("comes.test", s.dns)
	reload := func(domains string) {
		s.configure(domains, s.embedded())
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	reload(both)
	s.certified("*.comes.test", "")
	s.certified("comes.test", "")
	for _, name := range []string{"health.comes.test", "comes.test", "COMES.test", "health.stays.test"} {
		if _, err := s.shown(name, "http/1.1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	reload("[[domain]]\nname = \"stays.test\"\nacme = true\n")
	gwtest.Await(t, "the domain is gone", func() bool {
		_, err := s.shown("health.comes.test")
		return err != nil && strings.Contains(err.Error(), "unrecognized name")
	})
	if _, err := s.shown("comes.test"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("the apex of a domain that is gone: %v", err)
	}
	if m, err := dns.Exchange(new(dns.Msg).SetQuestion("comes.test.", dns.TypeA), s.dns); err != nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("the name server still knows the domain: %v, %v", m, err)
	}
	if now := s.certified("*.stays.test", ""); now.Serial != first.Serial {
		t.Error("the domain that stays has another certificate")
	}
	reload(both) // it was kept in the store
	if _, err := s.shown("health.stays.test"); err != nil {
		t.Error(err)
	}
	s.certified("*.comes.test", "")
}

func testMissingDelegation(t *testing.T, w *acmeWorld) {
	s := w.newSite(t, "lost.test", "")
	s.configure("[[domain]]\nname = \"lost.test\"\nacme = true\n", s.embedded())
	s.gateway()
	s.trouble("*.lost.test", "lost.test. is not a zone yet", "lost.test. NS ns.lost.test.; ns.lost.test. A 127.0.0.1", "[acme] resolvers")
	if _, err := s.shown("health.lost.test"); err == nil || !strings.Contains(err.Error(), "internal error") {
		t.Errorf("%v, want the alert internal_error", err)
	}
	if ready := s.page("/readyz"); !strings.Contains(ready, "there is none yet") || !strings.Contains(ready, "lost.test. NS ns.lost.test.") {
		t.Errorf("/readyz: %s", ready)
	}
	if metrics := s.page("/metrics"); !strings.Contains(metrics, "gateway_acme_") || !strings.Contains(metrics, "gateway_nameserver_") {
		t.Error("no metrics of issuer and name server")
	}
}

func testAuthorityDown(t *testing.T, w *acmeWorld, binding string) {
	dir := w.NewDirectory(t, w.ca)
	s := w.newEmbedded(t, "down.test", fmt.Sprintf("\ndirectory = %q\n", dir.URL)+binding)
	cmd := s.gateway()
	first := s.certified("*.down.test", "")
	s.end(cmd) // the directory is remembered
	dir.Stop()
	s.gateway()
	now := s.trouble("*.down.test", "connection refused")
	if now.Serial != first.Serial || now.Failures == 0 || now.NextTry.Before(time.Now()) {
		t.Errorf("status %+v", now)
	}
	if leaf, err := s.shown("health.down.test"); err != nil || leaf.SerialNumber.Text(16) != first.Serial {
		t.Errorf("the old certificate is not served: %v", err)
	}
	if ready := s.page("/readyz"); ready != "ok\n" {
		t.Errorf("/readyz: %s", ready)
	}
}

// A kill at the worst moment: the order is made and its proof is under way.
func TestKilledGatewayGoesOnWithItsOrder(t *testing.T) {
	t.Parallel()
	w := newACMEWorld(t, pebble.Options{})
	s := w.newSite(t, "kill.test", "")
	// The program says that it was called, and ends when it is told to.
	hook := "#!/bin/sh\nset -e\ncd " + s.dir + "\nif [ \"$1\" = present ]; then\n  echo x >>called\n" +
		"  while [ ! -e go ]; do sleep 0.05; done\n  echo \"$3\" >txt\nfi\n"
	if err := os.WriteFile(s.path("hook"), []byte(hook), 0o700); err != nil {
		t.Fatal(err)
	}
	w.dns.Handle("kill.test", textsOf(s.path("txt")))
	s.configure("[[domain]]\nname = \"kill.test\"\nacme = true\n",
		fmt.Sprintf("dns = \"exec\"\nexec.program = \"./hook\"\npropagation_nameservers = [%q]\n", w.dns.Addr))
	cmd := s.gateway()
	gwtest.Await(t, "the program is called", func() bool { _, err := os.Stat(s.path("called")); return err == nil })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := os.WriteFile(s.path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway()
	s.certified("*.kill.test", "")
	if orders := w.Count("Added order"); orders != 1 {
		t.Errorf("%d orders, want one", orders)
	}
}

// textsOf answers for a zone whose TXT records are the lines of a file.
func textsOf(file string) pebble.Answer {
	return func(q *dns.Msg) *dns.Msg {
		a := new(dns.Msg).SetReply(q)
		head := dns.RR_Header{Name: q.Question[0].Name, Rrtype: q.Question[0].Qtype, Class: dns.ClassINET, Ttl: 1}
		apex := strings.Count(head.Name, ".") == 2
		switch {
		case head.Rrtype == dns.TypeSOA && apex:
			a.Answer = append(a.Answer, &dns.SOA{Hdr: head, Ns: "ns.invalid.", Mbox: "m.invalid.", Serial: 1, Refresh: 1, Retry: 1, Expire: 1, Minttl: 1})
		case head.Rrtype == dns.TypeNS && apex:
			a.Answer = append(a.Answer, &dns.NS{Hdr: head, Ns: "ns.invalid."})
		case head.Rrtype == dns.TypeTXT && strings.HasPrefix(head.Name, "_acme-challenge."):
			lines, _ := os.ReadFile(file) // none yet
			for text := range strings.FieldsSeq(string(lines)) {
				a.Answer = append(a.Answer, &dns.TXT{Hdr: head, Txt: []string{text}})
			}
		}
		return a
	}
}
