package tdx

import (
	"testing"

	"github.com/google/go-tdx-guest/testing/testdata"
)

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse(b, testdata.RawQuoteV5)
	}
}

// The steps, each alone: VerifyChain parses the three certificates.
func BenchmarkChecks(b *testing.B) {
	q, root := parse(b, testdata.RawQuoteV5), realRoot(b)
	at := q.validFrom(b)
	chain, err := q.VerifyChain(root, at)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		step func() error
	}{
		{"chain", func() error { _, err := q.VerifyChain(root, at); return err }},
		{"PCK", func() error { _, err := ParsePCK(chain.Leaf); return err }},
		{"QE report", func() error { return q.VerifyQEReport(chain.Leaf) }},
		{"attestation key", q.VerifyAttestationKey},
		{"signature", q.VerifySignature},
		{"all", func() error { return verifyAll(q, root, at) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.step(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
