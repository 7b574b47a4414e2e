package caa

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// levels are the CAA records of names, and no other.
type levels map[string][]*dns.CAA

func (l levels) Lookup(_ context.Context, name string, _ uint16) (*dns.Msg, error) {
	m := new(dns.Msg)
	for _, r := range l[name] {
		r = dns.Copy(r).(*dns.CAA)
		r.Hdr = dns.RR_Header{Name: name, Rrtype: dns.TypeCAA, Class: dns.ClassINET}
		m.Answer = append(m.Answer, r)
	}
	return m, nil
}

// Every value, in every tag, at the name and at each level above it, or at none: the
// nearest level decides and no other is heard.
func TestValuesAtEveryLevel(t *testing.T) {
	type record struct {
		line string // "" for none
		ok   func(wildcard bool) bool
	}
	records := []record{{"", nil}}
	for _, v := range values {
		records = append(records,
			record{tagIssue + " " + v.value, func(bool) bool { return v.ok }},
			record{tagIssueWild + " " + v.value, func(wildcard bool) bool { return !wildcard || v.ok }},
		)
	}
	for _, above := range []string{"example.com.", "com."} {
		for _, wildcard := range []bool{false, true} {
			q := request()
			q.Wildcard = wildcard
			for _, near := range records {
				for _, far := range records {
					l := levels{}
					want := true
					if far.ok != nil {
						l[above], want = set(far.line), far.ok(wildcard)
					}
					if near.ok != nil {
						l["gw.example.com."], want = set(near.line), near.ok(wildcard)
					}
					err := Check(t.Context(), l, q)
					if (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
						t.Errorf("%q at the name, %q at %s, wildcard %t: %v", near.line, far.line, above, wildcard, err)
					}
					at := "at " + above
					if near.ok != nil {
						at = "at gw.example.com."
					}
					if err != nil && !strings.Contains(err.Error(), at) {
						t.Errorf("%q at the name, %q at %s: %q does not say %q", near.line, far.line, above, err, at)
					}
				}
			}
		}
	}
}
