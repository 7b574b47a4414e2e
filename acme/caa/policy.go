package caa

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// Tags (RFC 8659, 4), in lower case; they are compared so.
const (
	tagIssue     = "issue"
	tagIssueWild = "issuewild"
)

// critical is the flag of a record that an authority may not ignore if it does not know the tag.
const critical = 1 << 7

// isKnown reports whether authorities know a tag, so that it may be critical.
func isKnown(tag string) bool {
	switch strings.ToLower(tag) {
	case tagIssue, tagIssueWild, "iodef", "issuemail": // issuemail: RFC 9495
		return true
	}
	return false
}

// unknown is a record that forbids all orders, because authorities do not know what
// it demands (RFC 8659, 4.1); nil if there is none.
func unknown(set []*dns.CAA) *dns.CAA {
	for _, r := range set {
		if r.Flag&critical != 0 && !isKnown(r.Tag) {
			return r
		}
	}
	return nil
}

// refusals returns, for each record that decides, why it does not permit q. There are
// none if one does, or if none decides.
func refusals(set []*dns.CAA, q Request) (refused []string) {
	for _, r := range binding(set, q.Wildcard) {
		why := unmet(r.Value, q)
		if why == "" {
			return nil
		}
		refused = append(refused, show(r)+" "+why)
	}
	return refused
}

// binding are the records that decide: for a wildcard issuewild if there is any,
// else issue (RFC 8659, 4.3). Without one there is no restriction.
func binding(set []*dns.CAA, wildcard bool) []*dns.CAA {
	of := func(tag string) []*dns.CAA {
		return slices.DeleteFunc(slices.Clone(set), func(r *dns.CAA) bool { return !strings.EqualFold(r.Tag, tag) })
	}
	if wild := of(tagIssueWild); wildcard && len(wild) > 0 {
		return wild
	}
	return of(tagIssue)
}

// unmet returns what a value wants and q does not have; "" if it permits q.
func unmet(value string, q Request) string {
	i, err := parseIssuer(value)
	switch {
	case err != nil:
		return fmt.Sprintf("is malformed and so permits no authority: %v", err)
	case i.name == "":
		return "permits no authority"
	case !slices.ContainsFunc(q.Identities, func(id string) bool { return strings.EqualFold(id, i.name) }):
		return "permits another authority"
	}
	if uri, n := i.get("accounturi"); n > 1 {
		return "has more than one accounturi, which no account can satisfy (RFC 8657, 3)"
	} else if n == 1 && uri != q.AccountURI {
		return fmt.Sprintf("permits another account than %q", q.AccountURI)
	}
	if methods, n := i.get("validationmethods"); n > 1 {
		return "has more than one validationmethods, which no account can satisfy (RFC 8657, 4)"
	} else if n == 1 && !slices.Contains(strings.Split(methods, ","), q.Method) {
		return fmt.Sprintf("does not permit the method %s", q.Method)
	}
	return ""
}

// maxShown bounds what an error repeats of a value, in bytes.
const maxShown = 300

// show is a record's data for an error, with no control character in it.
func show(r *dns.CAA) string {
	return fmt.Sprintf("%d %.30q %.*q", r.Flag, r.Tag, maxShown, r.Value)
}
