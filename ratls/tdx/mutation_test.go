package tdx

import (
	"bytes"
	"crypto/x509"
	"reflect"
	"testing"

	"github.com/google/go-tdx-guest/testing/testdata"
)

// Every byte of a quote is signed, or says nothing: with one changed, parser and
// checks refuse the quote, or have read the very same out of it.
func TestEveryChangedByteIsRefusedOrHarmless(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		raw  []byte
		root *x509.Certificate
	}{
		{w.build(t, w.draft(5, 2)), w.root.cert},
		{testdata.RawQuoteV5, realRoot(t)},
	} {
		good := parse(t, c.raw)
		at := good.validFrom(t)
		harmless := 0
		for i := range c.raw {
			raw := bytes.Clone(c.raw)
			raw[i] ^= 1 << (i % 8)
			q, err := Parse(raw)
			if err != nil || verifyAll(q, c.root, at) != nil {
				continue
			}
			if !reflect.DeepEqual(q, good) {
				t.Fatalf("byte %d is %#x: another quote is accepted", i, raw[i])
			}
			harmless++
		}
		if limit := len(c.raw) / 50; harmless > limit { // ends of lines of PEM, and its NUL
			t.Errorf("%d of %d changes are harmless, want at most %d", harmless, len(c.raw), limit)
		}
	}
}

// What is left of a cut quote is refused; cut in its padding, it is the same quote.
func TestEveryTruncationIsRefusedOrHarmless(t *testing.T) {
	for _, c := range realQuotes(t) {
		good := parse(t, c.raw)
		padded := 0
		for n := range c.raw {
			q, err := Parse(c.raw[:n])
			if err != nil {
				continue
			}
			if !reflect.DeepEqual(q, good) {
				t.Fatalf("%s: %d of %d bytes: another quote is accepted", c.name, n, len(c.raw))
			}
			padded++
		}
		if padded > 70 {
			t.Errorf("%s: accepted without its last %d bytes", c.name, padded)
		}
	}
}
