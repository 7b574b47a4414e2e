package nameserver

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// packed is a query for gw.example, SOA, that edit has changed.
func packed(t testing.TB, edit func(*dns.Msg)) []byte {
	t.Helper()
	m := question("gw.example.", dns.TypeSOA)
	edit(m)
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func edns(edit func(*dns.OPT)) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		edit(m.IsEdns0())
	}
}

func TestQueriesThatAreRefused(t *testing.T) {
	s := both(t)
	txt := &dns.TXT{Hdr: dns.RR_Header{Name: "gw.example.", Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"x"}}
	plain := packed(t, func(*dns.Msg) {})
	long := slices.Concat(plain[:12], []byte(strings.Repeat("\x3fxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 4)+"\x00\x00\x06\x00\x01"))
	for _, tc := range []struct {
		what  string
		query []byte
		rcode int
	}{
		{"as it should be", plain, dns.RcodeSuccess},
		{"a record that says nothing here", packed(t, func(m *dns.Msg) { m.Ns = []dns.RR{txt} }), dns.RcodeSuccess},
		{"an option that nobody knows", packed(t, edns(func(o *dns.OPT) {
			o.Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: make([]byte, 100)}}
		})), dns.RcodeSuccess},
		{"EDNS version 1", packed(t, edns(func(o *dns.OPT) { o.SetVersion(1) })), dns.RcodeBadVers},
		{"two OPT", packed(t, func(m *dns.Msg) { m.SetEdns0(1232, false).SetEdns0(1232, false) }), dns.RcodeFormatError},
		{"OPT among the answers", packed(t, func(m *dns.Msg) { m.Answer = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}} }), dns.RcodeFormatError},
		{"OPT of a name", packed(t, edns(func(o *dns.OPT) { o.Hdr.Name = "x." })), dns.RcodeFormatError},
		{"two questions", packed(t, func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"no question", packed(t, func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"many records", packed(t, func(m *dns.Msg) { m.Extra = slices.Repeat([]dns.RR{txt}, maxRecords+1) }), dns.RcodeFormatError},
		{"bytes behind it", append(slices.Clone(plain), 0), dns.RcodeFormatError},
		{"its end is missing", plain[:len(plain)-1], dns.RcodeFormatError},
		{"header alone", plain[:12], dns.RcodeFormatError},
		{"a pointer for a name", slices.Concat(plain[:12], []byte("\xc0\x0c\x00\x06\x00\x01")), dns.RcodeFormatError},
		{"a name of 257 bytes", long, dns.RcodeFormatError},
		{"NOTIFY", packed(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }), dns.RcodeNotImplemented},
		{"UPDATE", packed(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate; m.Ns = []dns.RR{txt} }), dns.RcodeNotImplemented},
		{"STATUS", packed(t, func(m *dns.Msg) { m.Opcode = dns.OpcodeStatus }), dns.RcodeNotImplemented},
	} {
		b := s.reply(udp, netip.Addr{}, tc.query, nil)
		r := new(dns.Msg)
		if err := r.Unpack(b); err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		if r.Rcode != tc.rcode || (len(r.Answer) > 0) != (tc.rcode == dns.RcodeSuccess) {
			t.Errorf("%s: %v", tc.what, r)
		}
		if tc.rcode != dns.RcodeSuccess && len(b) > len(tc.query) {
			t.Errorf("%s: %d bytes are answered with %d", tc.what, len(tc.query), len(b))
		}
	}
}

func TestOtherMessagesAreNotAnswered(t *testing.T) {
	s := both(t)
	plain := packed(t, func(*dns.Msg) {})
	for _, b := range [][]byte{nil, plain[:11], packed(t, func(m *dns.Msg) { m.Response = true })} {
		if r := askWire(t, s, udp, b); r != nil {
			t.Errorf("%x: %v", b, r)
		}
	}
}

func TestFlagsOfAnAnswer(t *testing.T) {
	s := both(t)
	m := question("gw.example.", dns.TypeSOA)
	m.AuthenticatedData, m.CheckingDisabled, m.Zero, m.Authoritative, m.Truncated, m.RecursionAvailable = true, true, true, true, true, true
	for _, want := range []bool{true, false} {
		m.RecursionDesired = want
		r := ask(t, s, udp, m)
		if r.RecursionDesired != want || r.CheckingDisabled || r.Zero || r.Truncated {
			t.Errorf("%+v", r.MsgHdr)
		}
	}
}

func TestEDNSIsAnswered(t *testing.T) {
	s := both(t)
	for _, do := range []bool{true, false} {
		opt := ask(t, s, udp, question("gw.example.", dns.TypeSOA).SetEdns0(4096, do)).IsEdns0()
		if opt == nil || opt.UDPSize() != maxUDP || opt.Do() != do || opt.Version() != 0 || len(opt.Option) > 0 {
			t.Errorf("DO %t: %v", do, opt)
		}
	}
	if r := ask(t, s, udp, question("gw.example.", dns.TypeSOA)); len(r.Extra) > 0 {
		t.Errorf("not asked for: %v", r.Extra)
	}
}

// FuzzQuery: whatever comes in, what goes out is a message that fits, belongs to the
// query, and once truncated is no longer than it. What we understand miekg/dns
// understands in the same way.
func FuzzQuery(f *testing.F) {
	s := both(f)
	s.limits = newLimiter(-1)
	for _, m := range []*dns.Msg{
		question("a.gw.example.", dns.TypeA), question("gw.example.", dns.TypeNS).SetEdns0(512, true),
		question("_acme-CHALLENGE.gw.example.", dns.TypeTXT).SetEdns0(4096, false), question("gw.example.", dns.TypeANY),
		question(".", dns.TypeDS), question(`\000\..gw.example.`, dns.TypeAAAA),
	} {
		b, _ := m.Pack()
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxQuery {
			return
		}
		sent := string(b)
		for how, most := range map[transport]int{udp: maxUDP, tcp: maxTCP} {
			out := s.reply(how, netip.Addr{}, b, nil)
			if s.bugLogged.Load() != 0 {
				t.Fatal("a panic")
			}
			if string(b) != sent {
				t.Fatal("the query has been changed")
			}
			if out == nil {
				continue
			}
			if len(out) > most {
				t.Fatalf("%d bytes by %s", len(out), how)
			}
			q, rcode, _ := readQuery(b)
			checkAnswer(t, out, b, q)
			m := s.view.Load().answer(q, rcode)
			cut(m)
			if short, err := m.Pack(); err != nil || len(short) > len(b) {
				t.Fatalf("%d bytes are answered with %d: %v", len(b), len(short), err)
			}
		}
	})
}

func checkAnswer(t *testing.T, out, b []byte, q *dns.Msg) {
	r, m := new(dns.Msg), new(dns.Msg)
	if err := r.Unpack(out); err != nil {
		t.Fatalf("answer %x: %v", out, err)
	}
	if !r.Response || r.Id != uint16(b[0])<<8|uint16(b[1]) || r.RecursionAvailable {
		t.Fatalf("%v", r)
	}
	if r.Rcode == dns.RcodeFormatError || r.Rcode == dns.RcodeNotImplemented {
		return
	}
	// It reads inside of records too, so it may refuse what is stepped over here.
	if m.Unpack(b) != nil {
		return
	}
	if len(m.Question) != 1 || len(r.Question) != 1 || m.Question[0] != r.Question[0] {
		t.Fatalf("question %v, answered %v", m.Question, r.Question)
	}
	opt, got := m.IsEdns0(), q.IsEdns0()
	if (opt != nil) != (got != nil) || opt != nil && opt.Hdr.Class != got.Hdr.Class || opt != nil && opt.Hdr.Ttl != got.Hdr.Ttl {
		t.Fatalf("OPT %v is read as %v", opt, got)
	}
}
