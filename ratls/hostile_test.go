package ratls

import (
	"bytes"
	"crypto/x509"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
)

// The cases of a form are this many: all would take a minute. Which, is the same in
// each run.
const samples = 500

func sampled() *rand.Rand { return rand.New(rand.NewPCG(4, 2)) }

// harmless checks that changed evidence is refused, or proves what it did before, and that
// this takes no more memory than 64 times its size. It reports whether it was accepted.
func harmless(t *testing.T, v *Verifier, changed Evidence, want *Verdict, what string, i int) bool {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := v.Appraise(t.Context(), changed)
	runtime.ReadMemStats(&after)
	if used, limit := after.TotalAlloc-before.TotalAlloc, uint64(64*changed.size()+16<<10); used > limit {
		t.Errorf("%s %d: %d bytes allocated for an input of %d, want at most %d", what, i, used, changed.size(), limit)
	}
	if err == nil && !same(got, want) {
		t.Errorf("%s %d: %+v\nwant %+v", what, i, got, want)
	}
	if err != nil && got != nil {
		t.Errorf("%s %d: a verdict with error %v", what, i, err)
	}
	return err == nil
}

// same compares all that was measured. The configuration was not: its word on the OS image
// may be missing, but it cannot be another one.
func same(got, want *Verdict) bool {
	v := *got
	if v.AppInfo.OSImageHash.IsZero() {
		v.AppInfo.OSImageHash = want.AppInfo.OSImageHash
	}
	return reflect.DeepEqual(&v, want)
}

func TestChangedEvidenceIsRefusedOrHarmless(t *testing.T) {
	w := newWorld(t)
	for name, form := range map[string]tdxpki.Form{"V0": tdxpki.FormV0, "V1": tdxpki.FormV1, "legacy": tdxpki.FormLegacy} {
		t.Run(name, func(t *testing.T) {
			random, v := sampled(), w.verifier(t, nil)
			good := w.evidence(t, tdxpki.Guest{Form: form})
			want := wantAccepted(t, v, good)
			accepted := 0
			for range samples {
				changed := good.clone()
				whole := *changed.part(random.IntN(3))
				i := random.IntN(len(whole))
				whole[i] ^= 1 << random.IntN(8)
				if harmless(t, v, changed, want, "byte", i) {
					accepted++
				}
			}
			if accepted > samples/4 { // padding, names of members that nobody reads, copies of events
				t.Errorf("%d of %d changes are accepted", accepted, samples)
			}
			for range samples {
				changed := good.clone()
				part := changed.part(random.IntN(3))
				i := random.IntN(len(*part))
				*part = (*part)[:i]
				harmless(t, v, changed, want, "truncated to", i)
			}
		})
	}
}

// part is the nth of those that are there, counted around.
func (e *Evidence) part(n int) *[]byte {
	var there []*[]byte
	for _, p := range e.parts() {
		if len(*p) > 0 {
			there = append(there, p)
		}
	}
	return there[n%len(there)]
}

// A certificate is a stranger's too, signed by himself.
func TestChangedCertificateIsRefusedOrHarmless(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	good := w.Guest(tdxpki.Guest{WithAppInfo: true}).Certificate.Leaf
	want, err := v.AppraisePeer(t.Context(), []*x509.Certificate{good}, Peer{AnySystem: true})
	if err != nil {
		t.Fatal(err)
	}
	random, judged := sampled(), 0
	for range 3 * samples {
		der := bytes.Clone(good.Raw)
		i := random.IntN(len(der))
		der[i] ^= 1 << random.IntN(8)
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			continue
		}
		judged++
		if got, err := v.AppraisePeer(t.Context(), []*x509.Certificate{leaf}, Peer{AnySystem: true}); err == nil && !same(got, want) {
			t.Errorf("byte %d: %+v\nwant %+v", i, got, want)
		}
	}
	if judged < samples {
		t.Errorf("%d certificates could be read", judged)
	}
}

// What is known by name is refused by it.
func TestOtherHardwareIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	for name, c := range map[string]struct {
		evidence []byte
		want     string
	}{
		"SEV-SNP":        {fixture(t, "dstack/sev_snp_attestation.bin"), "AMD SEV-SNP evidence is not supported yet"},
		"Nitro":          {fixture(t, "dstack/nitro_attestation.bin"), "AWS Nitro enclave evidence is not supported yet"},
		"GCP TDX":        {[]byte{0, 1, 0}, "GCP TDX evidence is not supported yet"},
		"AWS NitroTPM":   {[]byte{0, 4, 0}, "AWS NitroTPM evidence is not supported yet"},
		"a later form":   {[]byte{1, 0}, "attestation: first byte 0x01: unknown version"},
		"a later number": {[]byte{0, 5}, "attestation: platform 5 is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, v, Evidence{Attestation: c.evidence, PublicKey: []byte("key")}, c.want)
		})
	}
}

// A long log takes longer than all signatures: below a forged quote nobody looks at it.
func TestLogBelowAForgedQuoteIsNotRead(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	many := func(l tdxpki.Log) tdxpki.Log {
		for range 2000 {
			l = append(l, event("x", ""))
		}
		return l
	}
	g := tdxpki.Guest{ChangeSigned: func(q *tdxpki.Quote) { q.Signature[0] ^= 1 }, ChangeAttestation: func(a *tdxpki.Attestation) {
		a.Log, a.Runtime = many(a.Log), many(a.Runtime)
	}}
	_, err := v.Appraise(t.Context(), w.evidence(t, g))
	wantError(t, err, "quote signature:") // not: event log
	e := w.evidence(t, tdxpki.Guest{Form: tdxpki.FormLegacy, ChangeSigned: g.ChangeSigned})
	e.EventLog = []byte("{")
	_, err = v.Appraise(t.Context(), e)
	wantError(t, err, "quote signature:")
}

// Appraise and Examine must agree on everything, and neither may panic.
func FuzzAppraise(f *testing.F) {
	w := newWorld(f)
	v := w.verifier(f, &Policy{Measurements: []Measurement{{}}})
	for _, form := range []tdxpki.Form{tdxpki.FormV0, tdxpki.FormV1, tdxpki.FormLegacy} {
		e := w.evidence(f, tdxpki.Guest{Form: form})
		f.Add(e.Attestation, e.Quote, e.EventLog, "", e.PublicKey, "")
	}
	f.Add([]byte{0, 3, 0}, []byte{}, []byte("[]"), "{}", []byte("key"), "zt-cert")
	f.Fuzz(func(t *testing.T, packed, quote, log []byte, config string, key []byte, tag string) {
		e := Evidence{Attestation: packed, Quote: quote, EventLog: log, VMConfig: config, PublicKey: key, Tag: attestation.Tag(tag)}
		verdict, err := v.Appraise(t.Context(), e)
		if (verdict == nil) == (err == nil) {
			t.Fatalf("%+v with error %v", verdict, err)
		}
		r := v.Examine(t.Context(), e)
		if (r.Verdict == nil) == (r.Err == nil) {
			t.Fatalf("examined: %+v with error %v", r.Verdict, r.Err)
		}
		if len(key) == 0 || err != nil && r.Err == nil && len(packed) == 0 && len(log) == 0 {
			return // Appraise does not take these
		}
		if (err == nil) != (r.Err == nil) || err != nil && err.Error() != r.Err.Error() {
			t.Fatalf("appraised: %v\nexamined: %v", err, r.Err)
		}
		if !reflect.DeepEqual(verdict, r.Verdict) {
			t.Fatalf("appraised: %+v\nexamined: %+v", verdict, r.Verdict)
		}
	})
}
