package ratls

import (
	"crypto/x509"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

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

// What a verdict costs with collateral at hand: at most 1.5 ms.
func BenchmarkAppraise(b *testing.B) {
	w := newWorld(b)
	for name, form := range map[string]tdxpki.Form{"V0": tdxpki.FormV0, "V1": tdxpki.FormV1, "legacy": tdxpki.FormLegacy} {
		e := w.evidence(b, tdxpki.Guest{Form: form})
		v := w.verifier(b, nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.verdicts = newVerdictCache()
				wantAccepted(b, v, e)
			}
		})
	}
}

// What it costs again: at most 5 µs.
func BenchmarkAppraiseRemembered(b *testing.B) {
	w := newWorld(b)
	for name, form := range map[string]tdxpki.Form{"V0": tdxpki.FormV0, "V1": tdxpki.FormV1, "legacy": tdxpki.FormLegacy} {
		e := w.evidence(b, tdxpki.Guest{Form: form})
		v := w.verifier(b, nil)
		wantAccepted(b, v, e)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(e.size()))
			b.ReportAllocs()
			for b.Loop() {
				wantAccepted(b, v, e)
			}
		})
	}
}

// What a handshake pays for a peer that is known.
func BenchmarkAppraisePeerRemembered(b *testing.B) {
	w := newWorld(b)
	v := w.verifier(b, nil)
	chain := []*x509.Certificate{w.Guest(tdxpki.Guest{WithAppInfo: true}).Certificate.Leaf}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.AppraisePeer(b.Context(), chain, Peer{AnySystem: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRememberedVerdictAllocatesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	wantAccepted(t, v, e)
	if n := testing.AllocsPerRun(100, func() { _, _ = v.Appraise(t.Context(), e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
