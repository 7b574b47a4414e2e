package caa

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/dnsquery"
	"sallyport/internal/gwtest/dnstest"

	"github.com/miekg/dns"
)

func TestNearestRecordsDecide(t *testing.T) {
	const good, bad = `60 IN CAA 0 issue "letsencrypt.org"`, `60 IN CAA 0 issue "pki.goog"`
	for _, c := range []struct {
		name    string
		records []string
		at      string // where the refusal is; "" for none
	}{
		{"no records", nil, ""},
		{"other records", []string{"gw.example.com. 60 IN A 192.0.2.1", "example.com. 60 IN TXT x"}, ""},
		{"at the name, good", []string{"gw.example.com. " + good}, ""},
		{"at the name, bad", []string{"gw.example.com. " + bad}, "gw.example.com."},
		{"at the parent, good", []string{"example.com. " + good}, ""},
		{"at the parent, bad", []string{"example.com. " + bad}, "example.com."},
		{"at the top, bad", []string{"com. " + bad}, "com."},
		{"name before parent, good", []string{"gw.example.com. " + good, "example.com. " + bad}, ""},
		{"name before parent, bad", []string{"gw.example.com. " + bad, "example.com. " + good}, "gw.example.com."},
		{"another tag at the name stops the climb", []string{`gw.example.com. 60 IN CAA 0 iodef "mailto:a@example.com"`, "example.com. " + bad}, ""},
		{"a name below does not count", []string{"a.gw.example.com. " + bad, "x.example.com. " + bad}, ""},
		{"alias, good", []string{"gw.example.com. 60 IN CNAME a.example.net.", "a.example.net. " + good, "example.com. " + bad}, ""},
		{"alias, bad", []string{"gw.example.com. 60 IN CNAME a.example.net.", "a.example.net. " + bad}, "gw.example.com., an alias of a.example.net."},
		{"alias of an alias", []string{"gw.example.com. 60 IN CNAME a.example.net.", "a.example.net. 60 IN CNAME b.example.org.", "b.example.org. " + bad}, "gw.example.com., an alias of b.example.org."},
		{"what is above an alias's end does not count", []string{"gw.example.com. 60 IN CNAME a.example.net.", "a.example.net. 60 IN A 192.0.2.1", "example.net. " + bad}, ""},
		{"what is above the alias does", []string{"gw.example.com. 60 IN CNAME a.example.net.", "example.com. " + bad}, "example.com."},
		{"parent is an alias", []string{"example.com. 60 IN CNAME a.example.net.", "a.example.net. " + bad}, "example.com., an alias of a.example.net."},
		{
			"DNAME, as a resolver shows it",
			[]string{"example.com. 60 IN DNAME example.net.", "gw.example.com. 0 IN CNAME gw.example.net.", "gw.example.net. " + bad},
			"gw.example.com., an alias of gw.example.net.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := check(t, request(), c.records...)
			if c.at == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
			mustSay(t, err, "refuse the certificate: at "+c.at+": ", `0 "issue" "pki.goog" permits another authority`)
		})
	}
}

func TestWildcardIsAskedForAtItsDomain(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0", `gw.example.com. 60 IN CAA 0 issuewild ";"`)
	q := request()
	if err := checkAt(t, q, s); err != nil {
		t.Errorf("issuewild counts for the domain itself: %v", err)
	}
	s.Asked()
	q.Wildcard = true
	mustSay(t, checkAt(t, q, s), "permits no authority")
	if got := s.Asked(); !slices.Equal(got, []string{"gw.example.com. CAA"}) {
		t.Errorf("asked %q", got)
	}
}

func TestClimbEndsBelowTheRoot(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0")
	if err := checkAt(t, request(), s); err != nil {
		t.Error(err)
	}
	if got := s.Asked(); !slices.Equal(got, []string{"gw.example.com. CAA", "example.com. CAA", "com. CAA"}) {
		t.Errorf("asked %q", got)
	}
}

// A server that follows no aliases is asked on.
func TestAliasThatIsNotFollowed(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0", "gw.example.com. 60 IN CNAME a.example.net.", `a.example.net. 60 IN CAA 0 issue ";"`)
	s.Edit(func(m *dns.Msg) bool { m.Answer = m.Answer[:min(1, len(m.Answer))]; return true })
	mustSay(t, checkAt(t, request(), s), "an alias of a.example.net.", "permits no authority")
}

func TestAliasLoopIsTemporary(t *testing.T) {
	err := check(t, request(), "gw.example.com. 60 IN CNAME a.example.com.", "a.example.com. 60 IN CNAME gw.example.com.")
	if !errors.Is(err, ErrTemporary) {
		t.Errorf("got %v", err)
	}
	mustSay(t, err, "loop", "gw.example.com.")
}

func TestAliasesAreBounded(t *testing.T) {
	for _, n := range []int{maxAliases, maxAliases + 1} {
		records := []string{"gw.example.com. 60 IN CNAME a1.example.com."}
		for i := 1; i < n; i++ {
			records = append(records, fmt.Sprintf("a%d.example.com. 60 IN CNAME a%d.example.com.", i, i+1))
		}
		records = append(records, fmt.Sprintf(`a%d.example.com. 60 IN CAA 0 issue ";"`, n))
		err := check(t, request(), records...)
		if n <= maxAliases {
			mustSay(t, err, "permits no authority")
		} else if !errors.Is(err, ErrTemporary) {
			t.Errorf("%d aliases: got %v", n, err)
		}
	}
}

func TestDNSFailureRefusesForTheTime(t *testing.T) {
	for name, edit := range map[string]func(m *dns.Msg) bool{
		"SERVFAIL": func(m *dns.Msg) bool { m.Answer, m.Rcode = nil, dns.RcodeServerFailure; return true },
		"REFUSED":  func(m *dns.Msg) bool { m.Answer, m.Rcode = nil, dns.RcodeRefused; return true },
		"SERVFAIL at the parent": func(m *dns.Msg) bool {
			if m.Question[0].Name == "example.com." {
				m.Rcode = dns.RcodeServerFailure
			}
			return true
		},
	} {
		s := dnstest.New(t, "127.0.0.1:0")
		s.Edit(edit)
		err := checkAt(t, request(), s)
		if !errors.Is(err, ErrTemporary) || errors.Is(err, ErrRefused) {
			t.Errorf("%s: got %v", name, err)
		}
		mustSay(t, err, strings.Fields(name)[0], "cannot be looked up now")
	}
}

func TestTimeoutRefusesForTheTime(t *testing.T) {
	s := dnstest.New(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	s.Edit(func(*dns.Msg) bool { cancel(); return false })
	err := Check(ctx, dnsquery.Resolver{Servers: []netip.AddrPort{s.Addr}}, request())
	if !errors.Is(err, ErrTemporary) {
		t.Errorf("got %v", err)
	}
}

func TestAdviceIsARecordThatPermits(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		for _, records := range [][]string{
			{`gw.example.com. 60 IN CAA 0 issue ";"`, `gw.example.com. 60 IN CAA 0 issuewild "pki.goog"`},
			{`example.com. 60 IN CAA 0 issue ";"`, `example.com. 60 IN CAA 0 issuewild "pki.goog"`},
			{`gw.example.com. 60 IN CNAME a.example.net.`, `a.example.net. 60 IN CAA 0 issue ";"`},
		} {
			s := dnstest.New(t, "127.0.0.1:0", records...)
			q := request()
			q.Wildcard = wildcard
			err := checkAt(t, q, s)
			mustSay(t, err, "to permit it, add: ")
			_, advice, _ := strings.Cut(err.Error(), "to permit it, add: ")
			for record := range strings.SplitSeq(advice, "; or, since the nearest name decides: ") {
				s.Add(record)
				if err := checkAt(t, q, s); err != nil {
					t.Errorf("with %s: %v", record, err)
				}
				s.Remove(record)
			}
		}
	}
}

func TestAuthorityWithoutAName(t *testing.T) {
	q := request()
	q.Identities = nil
	if err := check(t, q); err != nil {
		t.Errorf("without records: %v", err)
	}
	if err := check(t, q, `example.com. 60 IN CAA 0 iodef "mailto:a@example.com"`); err != nil {
		t.Errorf("with records that restrict nothing: %v", err)
	}
	err := check(t, q, `example.com. 60 IN CAA 0 issue "letsencrypt.org"`)
	if !errors.Is(err, ErrUnidentified) || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	mustSay(t, err, "at example.com.")
}

func TestNamesAreFolded(t *testing.T) {
	q := request()
	q.Name = "GW.Example.COM."
	mustSay(t, check(t, q, `gw.EXAMPLE.com. 60 IN CAA 0 issue ";"`), "at gw.example.com.")
}

func TestNoDomainNameIsRefused(t *testing.T) {
	for _, name := range []string{"", ".", "*.example.com", "a..b", strings.Repeat("a", 64) + ".com"} {
		q := request()
		q.Name = name
		if err := check(t, q); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestManyRecordsMakeNoLongError(t *testing.T) {
	var records []string
	for i := range 100 {
		records = append(records, fmt.Sprintf(`gw.example.com. 60 IN CAA 0 issue "ca%d.example"`, i))
	}
	if n := len(check(t, request(), records...).Error()); n > 2000 {
		t.Errorf("the error has %d bytes", n)
	}
}
