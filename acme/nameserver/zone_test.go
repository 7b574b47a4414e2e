package nameserver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestZonesThatAreRefused(t *testing.T) {
	ns := []NameServer{{Name: "ns.example"}}
	var many []netip.Addr
	for i := range maxAddresses + 1 {
		many = append(many, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	for _, tc := range []struct {
		zone Zone
		want string
	}{
		{Zone{Name: "", NS: ns}, "want labels"},
		{Zone{Name: ".", NS: ns}, "want labels"},
		{Zone{Name: "*.example", NS: ns}, "want labels"},
		{Zone{Name: "a..example", NS: ns}, "want labels"},
		{Zone{Name: strings.Repeat("a", 64) + ".example", NS: ns}, "want labels"},
		{Zone{Name: strings.Repeat("a.", 127) + "a", NS: ns}, "longer than 253"},
		{Zone{Name: "example"}, "has 0 name servers"},
		{Zone{Name: "example", NS: make([]NameServer, 14)}, "has 14 name servers"},
		{Zone{Name: "example", NS: []NameServer{{Name: "bad name"}}}, "want labels"},
		{Zone{Name: "z.example", NS: append(ns, ns...)}, "listed twice"},
		{Zone{Name: "example", NS: ns}, "name server ns.example is in the zone itself"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("0.0.0.0")}, "address 0.0.0.0"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("fe80::1%eth0")}, "address fe80::1%eth0"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("224.0.0.1")}, "address 224.0.0.1"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("192.0.2.1", "192.0.2.1")}, "listed twice"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("192.0.2.1", "::ffff:192.0.2.1")}, "listed twice"},
		{Zone{Name: "z.example", NS: ns, Addresses: addresses("::ffff:0.0.0.0")}, "want one that clients can reach"},
		{Zone{Name: "z.example", NS: ns, Addresses: []netip.Addr{{}}}, "invalid"},
		{Zone{Name: "z.example", NS: ns, Addresses: many}, "has 33 addresses"},
		{Zone{Name: "example", NS: []NameServer{{Name: "ns.example", Addresses: many}}}, "name server ns.example: has 33"},
		{Zone{Name: "z.example", NS: ns, CAA: []CAA{{Tag: "Issue"}}}, `CAA tag "Issue"`},
		{Zone{Name: "z.example", NS: ns, CAA: []CAA{{Tag: "issue", Value: `a"b`}}}, "CAA issue: value"},
		{Zone{Name: "z.example", NS: ns, CAA: []CAA{{Tag: "issue", Value: strings.Repeat("x", 256)}}}, "256 bytes"},
		{Zone{Name: "z.example", NS: ns, CAA: make([]CAA, 33)}, "33 CAA records"},
		{Zone{Name: "z.example", NS: ns, Contact: "nobody"}, `contact "nobody"`},
		{Zone{Name: "z.example", NS: ns, Contact: "a b@example"}, `contact "a b@example"`},
		{Zone{Name: "z.example", NS: ns, Contact: "a@"}, `contact "a@"`},
		{Zone{Name: "z.example", NS: ns, Contact: "a@" + strings.Repeat("a.", 125) + "aa"}, "too long for a name"},
		{Zone{Name: "z.example", NS: ns, TTL: time.Millisecond}, "time to live 1ms"},
		{Zone{Name: "z.example", NS: ns, NegativeTTL: 25 * time.Hour}, "time to live 25h"},
	} {
		_, err := New(Options{Zones: []Zone{tc.zone}})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.zone, err, tc.want)
		}
	}
}

func TestEveryProblemOfTheZonesIsReported(t *testing.T) {
	_, err := New(Options{Zones: []Zone{base(), {Name: "bad name"}, base(), {Name: "c.example", TTL: time.Nanosecond}}})
	for _, want := range []string{`name "bad name"`, "zone gw.example: is listed twice", "zone c.example: ", "1ns", "0 name servers"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: want %q", err, want)
		}
	}
}

func TestLargestZoneIsAnsweredByTCP(t *testing.T) {
	long := strings.Repeat("a.", 100) + "example"
	z := Zone{Name: long, CAA: make([]CAA, maxCAA), Contact: strings.Repeat("h", 44) + "@" + long}
	for i := range maxNameServers {
		ns := NameServer{Name: fmt.Sprintf("%02d%s.%s", i, strings.Repeat("n", 42), long)}
		for k := range maxAddresses {
			ns.Addresses = append(ns.Addresses, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(k)}))
		}
		z.NS = append(z.NS, ns)
	}
	for i := range z.CAA {
		z.CAA[i] = CAA{Tag: strings.Repeat("t", 15), Value: strings.Repeat("v", maxText)}
	}
	s := newTestServer(t, Options{Zones: []Zone{z}})
	for range maxValues {
		present(t, s, long, strings.Repeat("x", maxText-1)+string(rune('a'+len(s.challenges[mustName(t, long)]))))
	}
	for _, qtype := range []uint16{dns.TypeNS, dns.TypeCAA, dns.TypeTXT, dns.TypeSOA} {
		r := ask(t, s, tcp, question(long+".", qtype))
		if r.Truncated || len(r.Answer) == 0 {
			t.Errorf("type %d: %v", qtype, r.MsgHdr)
		}
	}
}

func mustName(t *testing.T, s string) fqdn {
	t.Helper()
	n, err := parseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestZonesAreReplaced(t *testing.T) {
	s := newTestServer(t, Options{})
	m := question("gw.example.", dns.TypeSOA)
	if r := ask(t, s, udp, m); r.Rcode != dns.RcodeRefused {
		t.Errorf("no zones: %v", r)
	}
	serial := func() uint32 {
		t.Helper()
		r := ask(t, s, udp, m)
		if len(r.Answer) != 1 {
			t.Fatalf("%v", r)
		}
		return r.Answer[0].(*dns.SOA).Serial
	}
	if err := s.SetZones([]Zone{base()}); err != nil {
		t.Fatal(err)
	}
	first := serial()
	if err := s.SetZones([]Zone{base(), {Name: "bad name"}}); err == nil || serial() != first {
		t.Errorf("a bad zone: %v, serial %d", err, serial()-first)
	}
	changed := base()
	changed.Addresses = addresses("192.0.2.9")
	if err := s.SetZones([]Zone{changed}); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, s, udp, question("x.gw.example.", dns.TypeA)); show(r.Answer) != "x.gw.example. A 192.0.2.9" {
		t.Errorf("%v", r)
	}
	if int32(serial()-first) <= 0 {
		t.Errorf("serial %d after %d", serial(), first)
	}
	if err := s.SetZones(nil); err != nil {
		t.Fatal(err)
	}
	if r := ask(t, s, udp, m); r.Rcode != dns.RcodeRefused {
		t.Errorf("zone is gone: %v", r)
	}
}

// RFC 1982: serials are compared in a circle.
func TestSerialMovesOn(t *testing.T) {
	now := time.Unix(2_000_000_000, 0)
	for _, tc := range []struct{ last, want uint32 }{
		{1_999_999_999, 2_000_000_000},
		{2_000_000_000, 2_000_000_001},
		{2_000_000_500, 2_000_000_501}, // more than one a second, or the clock went back
		{0, 2_000_000_000},
	} {
		if got := nextSerial(tc.last, now); got != tc.want {
			t.Errorf("after %d: %d, want %d", tc.last, got, tc.want)
		}
	}
	if got := nextSerial(1<<32-10, time.Unix(1<<32+5, 0)); got != 5 {
		t.Errorf("around the circle: %d", got)
	}
}
