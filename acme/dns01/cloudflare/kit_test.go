package cloudflare

import (
	"strings"
	"testing"

	"github.com/libdns/libdns"

	double "sallyport/internal/gwtest/cloudflare"
)

const token = double.Token

// provider makes one that talks to a.
func provider(t *testing.T, a *double.API) *Provider {
	t.Helper()
	p, err := New(Options{Token: token, BaseURL: a.BaseURL + "/"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func txt(name, text string) libdns.TXT { return libdns.TXT{Name: name, Text: text} }

// mustFail checks that err says all of words, and not the token.
func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), token) {
		t.Errorf("error %q tells the token", err)
	}
}
