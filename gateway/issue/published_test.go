package issue

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sallyport/acme"
)

// keys makes the history of a domain: quotes are of so many bytes, 0 is none.
func keys(quotes ...int) (info acme.Info) {
	info = acme.Info{BaseDomain: "gw.test", AccountURI: "uri", AccountQuote: "q", AccountAttestation: "a", ActiveCert: "pem"}
	for i, size := range quotes {
		spki := []byte(fmt.Sprint("key ", i))
		info.HistKeys = append(info.HistKeys, spki)
		info.QuotedHistKeys = append(info.QuotedHistKeys, acme.QuotedKey{PublicKey: spki, Quote: strings.Repeat("x", size)})
	}
	return info
}

func TestPublishedEvidenceSaysWhatIsMissing(t *testing.T) {
	const big = maxPublished / 2
	for _, c := range []struct {
		quotes []int
		listed int
		want   string
	}{
		{nil, 0, "none: there is no key yet"},
		{[]int{1}, 1, "all"},
		{[]int{1, 1, 1}, 3, "all"},
		{[]int{0, 0}, 2, "none: no quote source answered when the keys were made"},
		{[]int{0, 1}, 2, "partial: 1 of 2 keys have quotes; no quote source answered when the others were made"},
		{[]int{big, big}, 2, "all"},
		{[]int{1, big, big}, 2, "partial: 2 of 3 keys are listed with quotes; the oldest 1 do not fit"},
		{[]int{maxPublished + 1}, 0, "partial: 0 of 1 keys are listed with quotes; the oldest 1 do not fit"},
	} {
		info := keys(c.quotes...)
		got := issuedInfo(info)
		if got.Evidence != c.want || len(got.HistKeys) != len(c.quotes) || len(got.QuotedHistKeys) != c.listed {
			t.Errorf("%v: %q, %d keys, %d with evidence; want %q, %d", c.quotes, got.Evidence, len(got.HistKeys), len(got.QuotedHistKeys), c.want, c.listed)
		}
		for i, k := range got.QuotedHistKeys { // the newest stay, in their order
			if !bytes.Equal(k.PublicKey, info.HistKeys[len(c.quotes)-c.listed+i]) {
				t.Errorf("%v: %q is at %d", c.quotes, k.PublicKey, i)
			}
		}
		if got.AccountUri != "uri" || got.AccountQuote != "q" || got.AccountAttestation != "a" || got.ActiveCert != "pem" || got.BaseDomain != "gw.test" {
			t.Errorf("%v: %v", c.quotes, got)
		}
	}
}
