package certs

import (
	"bytes"
	"testing"
)

// BenchmarkChooseConfig is what each terminated connection asks for.
func BenchmarkChooseConfig(b *testing.B) {
	x := open(b, Options{}, newAuthority(b).issue(b, nil).save(b, b.TempDir(), "gw.example"))
	for _, protocol := range []string{"http/1.1", "mqtt"} {
		b.Run(protocol[:4], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if x.TLSConfig("gw.example", protocol) == nil {
					b.Fatal("no config")
				}
			}
		})
	}
}

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
