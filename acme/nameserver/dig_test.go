package nameserver

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// dig runs dig of BIND (Debian: bind9-dnsutils) against a server.
func dig(t *testing.T, at fmt.Stringer, args ...string) string {
	t.Helper()
	addr, port, _ := strings.Cut(at.String(), ":")
	all := append([]string{"@" + addr, "-p", port, "+tries=1", "+time=10", "+nocookie", "+norecurse"}, args...)
	out, err := exec.CommandContext(t.Context(), "dig", all...).CombinedOutput()
	if err != nil {
		t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What dig says of each must contain the words of want, in their order, and none of
// not. Runs of blanks count as one.
func TestDig(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base(), delegated()}})
	present(t, s, "_acme-challenge.www.customer.example", "one", "two")
	for _, c := range "abcdef" {
		present(t, s, challengeName, strings.Repeat(string(c), 200))
	}
	for _, tc := range []struct {
		args string
		want []string
		not  string
	}{
		{"app-443s.gw.example A", []string{"NOERROR", "flags: qr aa;", "ANSWER: 2, AUTHORITY: 0", "EDNS: version: 0", "udp: 1232", "app-443s.gw.example. 300 IN A 192.0.2.1", "(UDP)"}, ";; Warning"},
		{"+tcp app.gw.example AAAA", []string{"NOERROR", "app.gw.example. 300 IN AAAA 2001:db8::1", "(TCP)"}, ";; Warning"},
		{"+noedns app.gw.example A", []string{"NOERROR", "ADDITIONAL: 0", "192.0.2.2"}, "EDNS"},
		{"+dnssec app.gw.example A", []string{"EDNS: version: 0, flags: do;", "192.0.2.1"}, "RRSIG"},
		{"+recurse app.gw.example A", []string{"flags: qr aa rd;", "recursion requested but not available"}, "ra;"},
		{"gw.example NS", []string{"ANSWER: 2", "NS ns1.gw.example.", "NS ns2.elsewhere.example.", "ADDITIONAL SECTION", "ns1.gw.example. 300 IN A 203.0.113.1"}, ";; Warning"},
		{"gw.example SOA", []string{`SOA ns1.gw.example. dns\.master.example.com.`, "3600 600 604800 30"}, ";; Warning"},
		{"gw.example CAA", []string{`CAA 0 issuewild "ca.example; validationmethods=dns-01"`, `CAA 128 issue ";"`}, ";; Warning"},
		{"gw.example ANY", []string{`HINFO "RFC8482" ""`}, ";; Warning"},
		{"aPP.gW.eXAMPLe A", []string{";aPP.gW.eXAMPLe. IN A", "aPP.gW.eXAMPLe. 300 IN A 192.0.2.1"}, ";; Warning"},
		{"gw.example MX", []string{"NOERROR", "ANSWER: 0, AUTHORITY: 1", "gw.example. 30 IN SOA"}, ";; Warning"},

		{"_acme-challenge.www.customer.example TXT", []string{`5 IN TXT "one"`, `5 IN TXT "two"`}, ";; Warning"},
		{"x._acme-challenge.www.customer.example TXT", []string{"NXDOMAIN", "_acme-challenge.www.customer.example. 30 IN SOA"}, ";; Warning"},

		{"+ignore " + challengeName + " TXT", []string{"flags: qr aa tc;", "ANSWER: 0", "(UDP)"}, ";; Warning"},
		{challengeName + " TXT", []string{"Truncated, retrying in TCP mode", "ANSWER: 6", "(TCP)"}, "no response"},
		{"+bufsize=4096 +ignore " + challengeName + " TXT", []string{"flags: qr aa tc;"}, ";; Warning"}, // 1232 is the most
		{"+tcp +noedns " + challengeName + " TXT", []string{"ANSWER: 6", strings.Repeat("f", 200)}, ";; Warning"},

		{"+edns=1 +noednsneg app.gw.example A", []string{"BADVERS", "EDNS: version: 0"}, "192.0.2.1"},
		{"+ednsflags=0x7fff app.gw.example A", []string{"NOERROR", "EDNS: version: 0, flags:; udp: 1232"}, "MBZ"},
		{"+ednsopt=100:0102 +subnet=198.51.100.0/24 app.gw.example A", []string{"NOERROR", "192.0.2.1"}, "CLIENT-SUBNET"},
		{"+opcode=notify gw.example SOA", []string{"NOTIMP"}, "IN SOA"},
		{"+opcode=update gw.example SOA", []string{"NOTIMP"}, "IN SOA"},
		{"+header-only gw.example", []string{"FORMERR"}, "IN A"},
		{"www.elsewhere.example A", []string{"REFUSED", "flags: qr;"}, " aa"},
		{"version.bind CH TXT", []string{"REFUSED"}, "CH TXT \""},
		{"gw.example AXFR", []string{"Transfer failed"}, "IN SOA"},
	} {
		out := strings.Join(strings.Fields(dig(t, at, strings.Fields(tc.args)...)), " ")
		rest := out
		for _, w := range tc.want {
			var ok bool
			if _, rest, ok = strings.Cut(rest, w); !ok {
				t.Errorf("dig %s: no %q, or not in this place, in\n%s", tc.args, w, out)
				break
			}
		}
		if strings.Contains(out, tc.not) {
			t.Errorf("dig %s: %q in\n%s", tc.args, tc.not, out)
		}
	}
}

// Two queries of one connection.
func TestDigKeepsItsConnection(t *testing.T) {
	s, at := start(t, Options{Zones: []Zone{base()}})
	out := dig(t, at, "+tcp", "+keepopen", "+short", "a.gw.example", "AAAA", "b.gw.example", "AAAA")
	if strings.Count(out, "2001:db8::1") != 2 {
		t.Error(out)
	}
	counted(t, s.metrics.answers[tcp][0], 2)
}
