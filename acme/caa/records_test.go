package caa

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestRecordsPinIssuance(t *testing.T) {
	records, err := Records("GW.example.com", "LetsEncrypt.org", account, []string{"dns-01"})
	if err != nil {
		t.Fatal(err)
	}
	const value = `"letsencrypt.org;validationmethods=dns-01;accounturi=` + account + `"`
	var lines []string
	for _, r := range records {
		lines = append(lines, r.String())
	}
	if want := []string{"gw.example.com. IN CAA 0 issue " + value, "gw.example.com. IN CAA 0 issuewild " + value}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
	for _, wildcard := range []bool{false, true} {
		q := request()
		q.Wildcard = wildcard
		if err := check(t, q, lines...); err != nil {
			t.Errorf("wildcard %t: %v", wildcard, err)
		}
		for name, edit := range map[string]func(q *Request){
			"another account":   func(q *Request) { q.AccountURI += "2" },
			"another method":    func(q *Request) { q.Method = "tls-alpn-01" },
			"another authority": func(q *Request) { q.Identities = []string{"pki.goog"} },
			"no account":        func(q *Request) { q.AccountURI = "" },
		} {
			q := q
			edit(&q)
			if check(t, q, lines...) == nil {
				t.Errorf("%s is permitted, wildcard %t", name, wildcard)
			}
		}
	}
}

func TestRecordsOfTwoAuthoritiesPermitBoth(t *testing.T) {
	var lines []string
	for ca, uri := range map[string]string{le: account, "pki.goog": "https://dv.acme-v02.api.pki.goog/account/x"} {
		records, err := Records("gw.example.com", ca, uri, []string{"dns-01", "tls-alpn-01"})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			lines = append(lines, r.String())
		}
	}
	q := request()
	q.Method = "tls-alpn-01"
	if err := check(t, q, lines...); err != nil {
		t.Error(err)
	}
	q.Identities = []string{"pki.goog"}
	if err := check(t, q, lines...); err == nil {
		t.Error("one authority's account is permitted at the other")
	}
}

func TestRecordsThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		domain, ca, uri string
		methods         []string
	}{
		{"", le, account, []string{"dns-01"}},
		{"*.example.com", le, account, []string{"dns-01"}},
		{"a..b", le, account, []string{"dns-01"}},
		{"example.com", "", account, []string{"dns-01"}},
		{"example.com", "let's encrypt", account, []string{"dns-01"}},
		{"example.com", le + ";x=y", account, []string{"dns-01"}},
		{"example.com", le, "", []string{"dns-01"}},
		{"example.com", le, account + ";validationmethods=http-01", []string{"dns-01"}},
		{"example.com", le, "https://a b", []string{"dns-01"}},
		{"example.com", le, account + "\n", []string{"dns-01"}},
		{"example.com", le, account, nil},
		{"example.com", le, account, []string{"dns-01;x=y"}},
		{"example.com", le, "https://" + strings.Repeat("a", maxValue), []string{"dns-01"}},
	} {
		if got, err := Records(c.domain, c.ca, c.uri, c.methods); err == nil {
			t.Errorf("%+v gives %v", c, got)
		}
	}
}

func TestRecordIsQuoted(t *testing.T) {
	r := Record{Name: "a.", Flags: 128, Tag: "issue", Value: `a"b\c`}
	if got, want := r.String(), `a. IN CAA 128 issue "a\"b\\c"`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIdentities(t *testing.T) {
	for _, c := range []struct {
		directory string
		meta      []string
		want      string
	}{
		{"https://acme-v02.api.letsencrypt.org/directory", nil, "[letsencrypt.org]"},
		{"https://ACME-staging-v02.api.letsencrypt.org:443/directory", []string{"other.example"}, "[letsencrypt.org]"},
		{"https://dv.acme-v02.api.pki.goog/directory", nil, "[pki.goog]"},
		{"https://api.buypass.com/acme/directory", nil, "[buypass.com buypass.no]"},
		{"https://acme.zerossl.com/v2/DV90", nil, "[sectigo.com trust-provider.com usertrust.com comodoca.com comodo.com]"},
		{"https://ca.example/dir", []string{"CA.example.", "ca.example", "", "a b", "x;y", " y"}, "[ca.example]"},
		{"https://letsencrypt.org.evil.example/dir", nil, "[]"},
		{"::", nil, "[]"},
	} {
		if got := fmt.Sprint(Identities(c.directory, c.meta)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.directory, got, c.want)
		}
	}
}
