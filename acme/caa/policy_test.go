package caa

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// set makes records of "tag value" lines; "!tag" is critical.
func set(lines ...string) (list []*dns.CAA) {
	for _, line := range lines {
		tag, value, _ := strings.Cut(line, " ")
		r := &dns.CAA{Tag: strings.TrimPrefix(tag, "!"), Value: value}
		if strings.HasPrefix(tag, "!") {
			r.Flag = critical
		}
		list = append(list, r)
	}
	return list
}

// Each value that issue or issuewild may have, and whether it permits the order.
var values = []struct {
	value string
	ok    bool
}{
	{le, true},
	{" \tLetsEncrypt.ORG ", true},
	{le + ";", true},
	{le + "; ", true},
	{"", false},
	{";", false},
	{" ; ", false},
	{"; accounturi=" + account, false},
	{"pki.goog", false},
	{"sub." + le, false},
	{le + ".", false},
	{le + ";accounturi=" + account, true},
	{le + " ; accounturi = " + account + " ", true},
	{le + ";AccountURI=" + account, true},
	{le + ";accounturi=" + account + "2", false},
	{le + ";accounturi=" + strings.ToUpper(account), false},
	{le + ";accounturi=", false},
	{le + ";accounturi", false},
	{le + ";accounturi=" + account + ";accounturi=" + account, false},
	{le + ";validationmethods=dns-01", true},
	{le + ";validationmethods=http-01,dns-01", true},
	{le + ";validationmethods=http-01", false},
	{le + ";validationmethods=DNS-01", false},
	{le + ";validationmethods=", false},
	{le + ";validationmethods=dns-01;validationmethods=dns-01", false},
	{le + ";validationmethods=dns-01;accounturi=" + account, true},
	{le + ";accounturi=" + account + ";validationmethods=dns-01", true},
	{le + ";validationmethods=http-01;accounturi=" + account, false},
	{le + ";validationmethods=dns-01;accounturi=" + account + "2", false},
	{"pki.goog;validationmethods=dns-01;accounturi=" + account, false},
	{le + ";unknown=x", true},
	{le + ";unknown=x;validationmethods=http-01", false},
	{le + " " + le, false},
	{le + ";validationmethods=dns-01;", false},
	{le + ";;validationmethods=dns-01", false},
	{le + ";validationmethods=dns-01 tls-alpn-01", false},
	{le + ";-x=y", false},
	{"bücher.example", false},
}

func TestValues(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		for _, tag := range []string{"issue", "issuewild", "ISSUE", "IssueWild"} {
			for _, v := range values {
				q := request()
				q.Wildcard = wildcard
				want := v.ok
				if strings.EqualFold(tag, "issuewild") && !wildcard {
					want = true // it does not count
				}
				if why := refusals(set(tag+" "+v.value), q); (len(why) == 0) != want {
					t.Errorf("%s %q, wildcard %t: got refusals %q, want them %t", tag, v.value, wildcard, why, !want)
				}
			}
		}
	}
}

// Every pair of values in every pair of tags: the rule of RFC 8659, 4.3, said again.
func TestPairsOfRecords(t *testing.T) {
	for _, wildcard := range []bool{false, true} {
		q := request()
		q.Wildcard = wildcard
		for _, a := range values {
			for _, b := range values {
				if got := len(refusals(set("issue "+a.value, "issue "+b.value), q)) == 0; got != (a.ok || b.ok) {
					t.Errorf("issue %q and issue %q, wildcard %t: permitted %t", a.value, b.value, wildcard, got)
				}
				if got := len(refusals(set("issuewild "+a.value, "issuewild "+b.value), q)) == 0; got != (!wildcard || a.ok || b.ok) {
					t.Errorf("issuewild %q and issuewild %q, wildcard %t: permitted %t", a.value, b.value, wildcard, got)
				}
				want := a.ok
				if wildcard {
					want = b.ok
				}
				if got := len(refusals(set("issue "+a.value, "issuewild "+b.value), q)) == 0; got != want {
					t.Errorf("issue %q and issuewild %q, wildcard %t: permitted %t", a.value, b.value, wildcard, got)
				}
			}
		}
	}
}

func TestOtherTagsDoNotRestrict(t *testing.T) {
	for _, s := range [][]string{nil, {"iodef mailto:a@example.com"}, {"issuemail ;"}, {"unknown x", "iodef x"}, {"!iodef x", "!issuemail ;"}} {
		if why := refusals(set(s...), request()); why != nil || unknown(set(s...)) != nil {
			t.Errorf("%q refuse: %q", s, why)
		}
	}
}

func TestUnknownCriticalTagForbids(t *testing.T) {
	for line, want := range map[string]bool{"!tbs x": true, "!issuevmc ;": true, "tbs x": false, "!issue " + le: false, "!IODEF x": false} {
		if got := unknown(set("issue "+le, line)) != nil; got != want {
			t.Errorf("%q: got %t", line, got)
		}
	}
	err := check(t, request(), `gw.example.com. 60 IN CAA 0 issue "`+le+`"`, `gw.example.com. 60 IN CAA 128 tbs "x"`)
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	mustSay(t, err, `at gw.example.com.: 128 "tbs" "x" has the critical flag`, "remove it")
	// Other bits mean nothing (RFC 8659, 4.1).
	if err := check(t, request(), `gw.example.com. 60 IN CAA 127 tbs "x"`); err != nil {
		t.Errorf("flags without the critical one: %v", err)
	}
}

func TestAnyIdentityOfTheAuthorityDoes(t *testing.T) {
	q := request()
	q.Identities = []string{"sectigo.com", "ComodoCA.com"}
	for value, want := range map[string]bool{"sectigo.com": true, "comodoca.com": true, le: false} {
		if got := len(refusals(set("issue "+value), q)) == 0; got != want {
			t.Errorf("%s: permitted %t", value, got)
		}
	}
}

func TestRefusalTellsWhatIsMissing(t *testing.T) {
	for value, want := range map[string]string{
		";":                               "permits no authority",
		"pki.goog":                        "permits another authority",
		le + ";accounturi=x":              "permits another account than \"" + account,
		le + ";accounturi=x;accounturi=y": "more than one accounturi",
		le + ";validationmethods=http-01": "does not permit the method dns-01",
		le + ";validationmethods=a;validationmethods=b": "more than one validationmethods",
		le + ";a=b;":                    "there is one ';' too many",
		le + ";a":                       "want tag=value",
		"let's encrypt":                 "not the domain name",
		le + ";a=b\x1b[31m":             "not printable",
		strings.Repeat("a", maxValue+1): fmt.Sprint("at most ", maxValue),
	} {
		why := strings.Join(refusals(set("issue "+value), request()), "")
		if !strings.Contains(why, want) {
			t.Errorf("%q: %s, want %q", value, why, want)
		}
		if strings.ContainsRune(why, '\x1b') || len(why) > 1500 {
			t.Errorf("%q: refusal %q is not fit for a terminal", value, why)
		}
	}
}
