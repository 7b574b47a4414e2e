package nameserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const (
	baseSOA      = "gw.example. SOA"
	delegatedSOA = "_acme-challenge.www.customer.example. SOA"
)

// both serves both kinds of zones, with challenges at the apex and below.
func both(t testing.TB) *Server {
	s := newTestServer(t, Options{Zones: []Zone{base(), delegated()}})
	present(t, s, "_acme-challenge.gw.example", "one", "two")
	present(t, s, "_acme-challenge.app.gw.example", "three")
	present(t, s, "_acme-challenge.www.customer.example", "four")
	present(t, s, "a.b._acme-challenge.www.customer.example", "five")
	return s
}

func TestAnswers(t *testing.T) {
	s := both(t)
	for _, tc := range []struct {
		name, qtype                   string
		rcode                         string
		answer, authority, additional string
	}{
		// Base domain: every name has the addresses.
		{"gw.example.", "A", "NOERROR", "gw.example. A 192.0.2.1 | gw.example. A 192.0.2.2", "", ""},
		{"app-443s.gw.example.", "A", "NOERROR", "app-443s.gw.example. A 192.0.2.1 | app-443s.gw.example. A 192.0.2.2", "", ""},
		{"app.gw.example.", "AAAA", "NOERROR", "app.gw.example. AAAA 2001:db8::1", "", ""},
		{"a.b.c.gw.example.", "AAAA", "NOERROR", "a.b.c.gw.example. AAAA 2001:db8::1", "", ""},
		{"*.gw.example.", "AAAA", "NOERROR", "*.gw.example. AAAA 2001:db8::1", "", ""},
		{"gw.example.", "NS", "NOERROR", "gw.example. NS ns1.gw.example. | gw.example. NS ns2.elsewhere.example.", "", "ns1.gw.example. A 203.0.113.1"},
		{"gw.example.", "SOA", "NOERROR", baseSOA, "", ""},
		{"gw.example.", "CAA", "NOERROR", `gw.example. CAA 0 issuewild "ca.example; validationmethods=dns-01" | gw.example. CAA 128 issue ";"`, "", ""},
		{"ns1.gw.example.", "A", "NOERROR", "ns1.gw.example. A 203.0.113.1", "", ""},
		{"gw.example.", "ANY", "NOERROR", `gw.example. HINFO "RFC8482" ""`, "", ""},
		{"x.gw.example.", "ANY", "NOERROR", `x.gw.example. HINFO "RFC8482" ""`, "", ""},

		// It has the name but not the type.
		{"ns1.gw.example.", "AAAA", "NOERROR", "", baseSOA, ""},
		{"gw.example.", "TXT", "NOERROR", "", baseSOA, ""},
		{"app.gw.example.", "CAA", "NOERROR", "", baseSOA, ""},
		{"app.gw.example.", "NS", "NOERROR", "", baseSOA, ""},
		{"app.gw.example.", "TYPE65", "NOERROR", "", baseSOA, ""},
		{"gw.example.", "DS", "NOERROR", "", baseSOA, ""},
		{"gw.example.", "DNSKEY", "NOERROR", "", baseSOA, ""},

		// Challenges, which take no addresses away.
		{"_acme-challenge.gw.example.", "TXT", "NOERROR", `_acme-challenge.gw.example. TXT "one" | _acme-challenge.gw.example. TXT "two"`, "", ""},
		{"_acme-challenge.gw.example.", "CNAME", "NOERROR", "", baseSOA, ""},
		{"_acme-challenge.app.gw.example.", "TXT", "NOERROR", `_acme-challenge.app.gw.example. TXT "three"`, "", ""},
		{"app.gw.example.", "TXT", "NOERROR", "", baseSOA, ""},

		// Delegated challenge: what has no records does not exist.
		{"_acme-challenge.www.customer.example.", "TXT", "NOERROR", `_acme-challenge.www.customer.example. TXT "four"`, "", ""},
		{"_acme-challenge.www.customer.example.", "NS", "NOERROR", "_acme-challenge.www.customer.example. NS ns1.gw.example.", "", ""},
		{"_acme-challenge.www.customer.example.", "A", "NOERROR", "", delegatedSOA, ""},
		{"x._acme-challenge.www.customer.example.", "TXT", "NXDOMAIN", "", delegatedSOA, ""},
		{"x._acme-challenge.www.customer.example.", "ANY", "NXDOMAIN", "", delegatedSOA, ""},
		{"x.b._acme-challenge.www.customer.example.", "TXT", "NXDOMAIN", "", delegatedSOA, ""},
		{"a.b._acme-challenge.www.customer.example.", "TXT", "NOERROR", `a.b._acme-challenge.www.customer.example. TXT "five"`, "", ""},
		{"b._acme-challenge.www.customer.example.", "TXT", "NOERROR", "", delegatedSOA, ""}, // empty non-terminal
		{"b._acme-challenge.www.customer.example.", "ANY", "NOERROR", "", delegatedSOA, ""},

		// Not ours.
		{"www.customer.example.", "A", "REFUSED", "", "", ""},
		{"example.", "NS", "REFUSED", "", "", ""},
		{"xgw.example.", "A", "REFUSED", "", "", ""},
		{".", "NS", "REFUSED", "", "", ""},
		{"gw.example.", "AXFR", "REFUSED", "", "", ""},
		{"gw.example.", "IXFR", "REFUSED", "", "", ""},
	} {
		m := question(tc.name, dns.StringToType[tc.qtype])
		if tc.qtype == "TYPE65" {
			m.Question[0].Qtype = 65
		}
		for _, how := range []transport{udp, tcp} {
			r := ask(t, s, how, m)
			got := [...]string{dns.RcodeToString[r.Rcode], show(r.Answer), show(r.Ns), show(r.Extra)}
			if want := [...]string{tc.rcode, tc.answer, tc.authority, tc.additional}; got != want {
				t.Errorf("%s %s by %s:\n got %q\nwant %q", tc.name, tc.qtype, how, got, want)
			}
			if r.Authoritative != (tc.rcode != "REFUSED") {
				t.Errorf("%s %s: AA is %t", tc.name, tc.qtype, r.Authoritative)
			}
		}
	}
}

func TestOtherClassesAreRefused(t *testing.T) {
	for _, class := range []uint16{dns.ClassCHAOS, dns.ClassANY, dns.ClassNONE, 0} {
		m := question("gw.example.", dns.TypeA)
		m.Question[0].Qclass = class
		if r := ask(t, both(t), udp, m); r.Rcode != dns.RcodeRefused || len(r.Answer) > 0 {
			t.Errorf("class %d: %v", class, r)
		}
	}
}

func TestSOASaysWhatTheZoneSays(t *testing.T) {
	soa := ask(t, both(t), udp, question("gw.example.", dns.TypeSOA)).Answer[0].(*dns.SOA)
	if soa.Ns != "ns1.gw.example." || soa.Mbox != `dns\.master.example.com.` || soa.Minttl != 30 || soa.Hdr.Ttl != 30 {
		t.Errorf("%v", soa)
	}
}

// A zone inside another one answers for itself, and makes the names between exist.
func TestZonesCanBeNested(t *testing.T) {
	outer := Zone{Name: "example", NS: []NameServer{{Name: "ns.other"}}}
	inner := Zone{Name: "_acme-challenge.www.example", NS: outer.NS}
	s := newTestServer(t, Options{Zones: []Zone{inner, outer}})
	for _, tc := range []struct{ name, qtype, rcode, soa string }{
		{"_acme-challenge.www.example.", "TXT", "NOERROR", "_acme-challenge.www.example. SOA"},
		{"_acme-challenge.www.example.", "DS", "NOERROR", "example. SOA"},
		{"www.example.", "A", "NOERROR", "example. SOA"},
		{"x.www.example.", "A", "NXDOMAIN", "example. SOA"},
		{"x._acme-challenge.www.example.", "A", "NXDOMAIN", "_acme-challenge.www.example. SOA"},
	} {
		r := ask(t, s, udp, question(tc.name, dns.StringToType[tc.qtype]))
		if got := dns.RcodeToString[r.Rcode]; got != tc.rcode || show(r.Ns) != tc.soa {
			t.Errorf("%s %s: %s %s, want %s %s", tc.name, tc.qtype, got, show(r.Ns), tc.rcode, tc.soa)
		}
	}
}

// Resolvers put random case into a question and want it back (0x20).
func TestQuestionIsEchoedInItsCase(t *testing.T) {
	s := both(t)
	for _, name := range []string{"aPp.Gw.ExAMPLe.", "_ACME-challenge.GW.example.", "X._acme-CHALLENGE.www.customer.EXAMPLE.", "WWW.Elsewhere."} {
		m := question(name, dns.TypeTXT)
		r := ask(t, s, udp, m)
		if r.Question[0] != m.Question[0] {
			t.Errorf("question %v comes back as %v", m.Question[0], r.Question[0])
		}
		for _, rr := range r.Answer {
			if rr.Header().Name != name {
				t.Errorf("record of %s, want %s", rr.Header().Name, name)
			}
		}
		for _, rr := range r.Ns {
			if !strings.HasSuffix(name, rr.Header().Name) {
				t.Errorf("SOA of %s, want the end of %s", rr.Header().Name, name)
			}
		}
	}
}

func TestLongAnswersAreTruncated(t *testing.T) {
	s := both(t)
	for _, c := range "abcdefgh" {
		present(t, s, "_acme-challenge.gw.example", strings.Repeat(string(c), 120))
	}
	m := question("_acme-challenge.gw.example.", dns.TypeTXT)
	for _, tc := range []struct {
		how       transport
		size      uint16 // 0: no EDNS
		truncated bool
	}{
		{udp, 0, true},
		{udp, 100, true}, // less than 512 means 512
		{udp, 1000, true},
		{udp, 1232, false},
		{udp, 65535, false},
		{tcp, 0, false},
		{tcp, 512, false}, // it is for UDP alone
	} {
		m.Extra = nil
		if tc.size > 0 {
			m.SetEdns0(tc.size, false)
		}
		r := ask(t, s, tc.how, m)
		if r.Truncated != tc.truncated || (len(r.Answer) == 0) != tc.truncated || !r.Authoritative {
			t.Errorf("%s, %d bytes: TC %t, %d records", tc.how, tc.size, r.Truncated, len(r.Answer))
		}
		if (r.IsEdns0() != nil) != (tc.size > 0) {
			t.Errorf("%s, %d bytes: OPT is %v", tc.how, tc.size, r.IsEdns0())
		}
	}
	present(t, s, "_acme-challenge.gw.example", strings.Repeat("i", 250))
	m.Extra = nil
	if r := ask(t, s, udp, m.SetEdns0(65535, false)); !r.Truncated {
		t.Error("more than 1232 bytes by UDP")
	}
}

// What is left out of an answer's additional section is no truncation (RFC 2181, 9).
func TestGlueIsLeftOutWhereThereIsNoRoom(t *testing.T) {
	z := base()
	for i := range 10 {
		z.NS = append(z.NS, NameServer{Name: "server-" + strings.Repeat(string(rune('a'+i)), 8) + ".gw.example"})
	}
	s := newTestServer(t, Options{Zones: []Zone{z}})
	m := question("gw.example.", dns.TypeNS)
	if r := ask(t, s, udp, m); r.Truncated || len(r.Answer) != 12 || len(r.Extra) != 0 {
		t.Errorf("by UDP: %v", r)
	}
	if r := ask(t, s, tcp, m); len(r.Answer) != 12 || len(r.Extra) != 31 {
		t.Errorf("by TCP: %v", r)
	}
	for n := 2; n < 12; n++ { // some of them just do not fit with the OPT
		for length := range 30 {
			z.NS = append(base().NS, NameServer{Name: strings.Repeat("x", length+1) + ".gw.example"})
			for i := range n - 2 {
				z.NS = append(z.NS, NameServer{Name: fmt.Sprintf("n%d.gw.example", i)})
			}
			s = newTestServer(t, Options{Zones: []Zone{z}})
			m.Extra = nil
			if r := ask(t, s, udp, m.SetEdns0(plainUDP, false)); r.Truncated || len(r.Answer) != n+1 {
				t.Fatalf("%d servers, %d: %v", n, length, r)
			}
		}
	}
}

func TestAnsweringAllocatesLittle(t *testing.T) {
	const most = 40
	s := both(t)
	out := make([]byte, maxTCP)
	for _, m := range []*dns.Msg{
		question("aPP.gw.example.", dns.TypeA).SetEdns0(1232, true),
		question("_acme-challenge.gw.example.", dns.TypeTXT),
		question("gw.example.", dns.TypeNS),
		question("gw.example.", dns.TypeANY),
		question("x._acme-challenge.www.customer.example.", dns.TypeTXT),
		question("elsewhere.", dns.TypeTXT),
	} {
		wire, _ := m.Pack()
		if n := testing.AllocsPerRun(100, func() { s.reply(udp, netip.Addr{}, wire, out) }); n > most {
			t.Errorf("%v: %v allocations, want at most %d", m.Question, n, most)
		}
	}
}
