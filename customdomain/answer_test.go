package customdomain

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const question = "_dstack-app-address.www.customer.org."

// reply is an answer with the given records.
func reply(records ...string) *dns.Msg {
	m := new(dns.Msg)
	for _, text := range records {
		m.Answer = append(m.Answer, rr(text))
	}
	return m
}

// FuzzText: a record may have any bytes, and what is read is what was sent.
func FuzzText(f *testing.F) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, text := range [][]byte{[]byte("a:1"), []byte(`"a:1"`), []byte(`\`), []byte(`\"`), []byte(`a\b\\c`), []byte(`\065`), every[:200], every[200:]} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) == 0 || len(text) > 255 {
			return
		}
		m := new(dns.Msg).SetQuestion(question, dns.TypeTXT)
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		wire[7] = 1 // an answer: the question's name, TXT, IN, TTL 1
		wire = append(wire, 0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, byte((len(text)+1)>>8), byte(len(text)+1), byte(len(text)))
		if err := m.Unpack(append(wire, text...)); err != nil {
			t.Fatal(err)
		}
		if texts, _, err := readAnswer(question, m); err != nil || len(texts) != 1 || texts[0] != string(text) {
			t.Errorf("%q became %q, %v", text, texts, err)
		}
	})
}

func TestAliasesAreFollowedWithinTheAnswer(t *testing.T) {
	chain := func(n int) []string {
		name := question
		var records []string
		for i := range n {
			next := strings.Repeat("x", i+1) + ".example."
			records = append(records, name+" 300 IN CNAME "+next)
			name = next
		}
		return append(records, name+` 400 IN TXT "a:1"`)
	}
	for _, tc := range []struct {
		name    string
		records []string
		ttl     time.Duration
		err     error
	}{
		{"none", chain(0), 400 * time.Second, nil},
		{"one", chain(1), 300 * time.Second, nil},
		{"most", chain(maxAliases), 300 * time.Second, nil},
		{"too many", chain(maxAliases + 1), 0, ErrBroken},
		{"loop", []string{question + " 1 IN CNAME a.example.", "a.example. 1 IN CNAME b.example.", "b.example. 1 IN CNAME a.example."}, 0, ErrBroken},
		{"loop of one", []string{question + " 1 IN CNAME " + question}, 0, ErrBroken},
		{"to nothing", []string{question + " 1 IN CNAME a.example."}, 0, ErrNotFound},
		{"beside", []string{question + " 1 IN CNAME a.example.", `b.example. 1 IN TXT "a:1"`}, 0, ErrNotFound},
		{"in another case", []string{strings.ToUpper(question) + ` 1 IN TXT "a:1"`}, time.Second, nil},
		{"least TTL", []string{question + ` 9 IN TXT "a:1"`, question + ` 3 IN TXT "b:1"`}, 3 * time.Second, nil},
		{"TTL of the highest bit", []string{question + ` 2147483648 IN TXT "a:1"`}, 0, nil},
		{"nothing", nil, 0, ErrNotFound},
		{"wrong type", []string{question + " 1 IN A 192.0.2.1"}, 0, errType},
		{"wrong class", []string{question + ` 1 CH TXT "a:1"`}, 0, errType},
		{"wrong name", []string{`example. 1 IN TXT "a:1"`}, 0, errType},
	} {
		texts, ttl, err := readAnswer(question, reply(tc.records...))
		if !errors.Is(err, tc.err) || ttl != tc.ttl || (len(texts) > 0) != (tc.err == nil) {
			t.Errorf("%s: %q, %v, %v; want %v, %v", tc.name, texts, ttl, err, tc.ttl, tc.err)
		}
	}
}

// A liar answers each question in its own way. What a domain's owner can cause is
// broken; what only a resolver can is temporary, and another resolver is asked.
func TestLiesAreRefused(t *testing.T) {
	aliases := func(m *dns.Msg) {
		name := m.Question[0].Name
		m.Answer = []dns.RR{rr(name + " 60 IN CNAME loop.example."), rr("loop.example. 60 IN CNAME " + name)}
	}
	large := func(m *dns.Msg) {
		for range 220 { // 64 kB
			m.Answer = append(m.Answer, rr(m.Question[0].Name+` 60 IN TXT "`+strings.Repeat("x", 240)+`"`))
		}
	}
	for _, tc := range []struct {
		name string
		lie  func(m *dns.Msg)
		err  error
	}{
		{"alias loop", aliases, ErrBroken},
		{"64 kB", large, ErrBroken},
		{"text that is no record", func(m *dns.Msg) { m.Answer = append(m.Answer, rr(m.Question[0].Name+` 60 IN TXT "\000\255"`)) }, ErrBroken},
		{"wrong type", func(m *dns.Msg) { m.Answer = append(m.Answer, rr(m.Question[0].Name+" 60 IN A 192.0.2.1")) }, nil},
		{"server failure", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, nil},
		{"refusal without the question", func(m *dns.Msg) { m.Rcode, m.Question = dns.RcodeRefused, nil }, nil},
		{"truncated by TCP too", func(m *dns.Msg) { m.Truncated = true }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			liar := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
				m := new(dns.Msg).SetReply(q)
				tc.lie(m)
				write(w, m)
			})
			checkLiar(t, liar, tc.err)
		})
	}
}

// Datagrams that do not answer the question may be anybody's: they are thrown
// away, and the resolver counts as silent.
func TestStrayDatagramsAreThrownAway(t *testing.T) {
	stray := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Id++
		m.Answer = append(m.Answer, rr(q.Question[0].Name+` 60 IN TXT "evil:1"`))
		write(w, m)
	}
	lies := nameserver(t, func(w dns.ResponseWriter, q *dns.Msg) {
		stray(w, q)
		stray(w, q)
		customers.serve(w, q)
	})
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{lies}})
	if got, err := r.Lookup(t.Context(), www, client); err != nil || got != target(t, "app1:443") {
		t.Errorf("the true answer behind: %v, %v", got, err)
	}
	r = newResolver(t, Options{Resolvers: []netip.AddrPort{nameserver(t, stray)}, Timeout: 50 * time.Millisecond})
	if got, err := r.Lookup(t.Context(), www, client); !errors.Is(err, ErrTemporary) {
		t.Errorf("no true answer: %v, %v", got, err)
	}
}

func TestFloodOfStrayDatagramsEndsTheQuery(t *testing.T) {
	flood := nameserver(t, func(w dns.ResponseWriter, _ *dns.Msg) {
		for range 32 {
			send(w, []byte("x"))
		}
	})
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{flood}, Timeout: time.Hour})
	if _, err := r.Lookup(t.Context(), www, client); !errors.Is(err, ErrTemporary) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

// checkLiar: a liar alone gives err, nil for ErrTemporary; one in front of an
// honest resolver gives the truth where the liar is to blame.
func checkLiar(t *testing.T, liar netip.AddrPort, err error) {
	t.Helper()
	want := err
	if want == nil {
		want = ErrTemporary
	}
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{liar}})
	if got, err := r.Lookup(t.Context(), "www.customer.org", client); !errors.Is(err, want) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("alone: %v, %v; want %v, without waiting for more", got, err, want)
	}
	honest := nameserver(t, customers.serve)
	r = newResolver(t, Options{Resolvers: []netip.AddrPort{liar, honest}})
	if got, e := r.Lookup(t.Context(), "www.customer.org", client); !errors.Is(e, err) || err == nil && got != target(t, "app1:443") {
		t.Errorf("before an honest one: %v, %v; want %v", got, e, err)
	}
}

// FuzzAnswer: whatever a resolver sends is read without a panic, and what it says
// is a Target or an error.
func FuzzAnswer(f *testing.F) {
	for _, m := range []*dns.Msg{reply(), reply(question+" 1 IN CNAME a.example.", `a.example. 1 IN TXT "a:1"`), reply(question + ` 1 IN TXT "a:" "1"`)} {
		b, err := m.SetReply(new(dns.Msg).SetQuestion(question, dns.TypeTXT)).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(dns.Msg)
		if len(b) > maxAnswer || m.Unpack(b) != nil && !m.Truncated {
			return
		}
		texts, ttl, err := readAnswer(question, m)
		if (len(texts) == 0) == (err == nil) || ttl < 0 {
			t.Fatalf("%q, %v, %v", texts, ttl, err)
		}
		if err == nil {
			if got, err := choose(texts); (err == nil) == (got == Target{}) {
				t.Fatalf("%v, %v", got, err)
			}
		}
	})
}
