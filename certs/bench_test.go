package certs

import (
	"bytes"
	"testing"
)

// BenchmarkLookAtUnchangedFiles is what Run does per domain and interval.
func BenchmarkLookAtUnchangedFiles(b *testing.B) {
	c := newAuthority(b).issue(b, nil)
	c.cert = append(bytes.Repeat([]byte("#\n"), 2500), c.cert...) // as long as a chain
	x := open(b, Options{}, c.save(b, b.TempDir(), "gw.example"))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := x.Reload(); n != 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}
