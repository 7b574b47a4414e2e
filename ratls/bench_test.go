package ratls

import "testing"

// What a registration costs beyond TLS: the ids in its certificate.
func BenchmarkIdentify(b *testing.B) {
	a := newAuthority(b)
	chain := verified(b, a, issue(b, a, guest()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Identify(b.Context(), chain, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
