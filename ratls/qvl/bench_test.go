package qvl

import "testing"

// A verdict with collateral that is kept: four signatures.
func BenchmarkVerifyPrepared(b *testing.B) {
	q := realQuote(b, "derived/quote-report.quote.bin")
	p, err := Prepare(realCollateral(b), IntelRoot())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Verify(q, realTime()); err != nil {
			b.Fatal(err)
		}
	}
}

// The work that is saved by keeping it: six signatures and three documents.
func BenchmarkPrepare(b *testing.B) {
	c := realCollateral(b)
	root := IntelRoot()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Prepare(c, root); err != nil {
			b.Fatal(err)
		}
	}
}
