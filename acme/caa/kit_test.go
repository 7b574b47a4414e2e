package caa

import (
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/dnsquery"
	"sallyport/internal/gwtest/dnstest"
)

const (
	account = "https://acme-v02.api.letsencrypt.org/acme/acct/1"
	le      = "letsencrypt.org"
)

// request is an order for gw.example.com at Let's Encrypt.
func request() Request {
	return Request{Name: "gw.example.com", Identities: []string{le}, AccountURI: account, Method: "dns-01"}
}

// check lets Check ask a server that has records.
func check(t *testing.T, q Request, records ...string) error {
	t.Helper()
	return checkAt(t, q, dnstest.New(t, "127.0.0.1:0", records...))
}

func checkAt(t *testing.T, q Request, s *dnstest.Server) error {
	t.Helper()
	return Check(t.Context(), dnsquery.Resolver{Servers: []netip.AddrPort{s.Addr}}, q)
}

// mustSay checks that err says all of words.
func mustSay(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}
