package tdx

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
)

// checks makes the four checks, each for itself, and names those that fail.
func checks(t *testing.T, q *Quote, w *world) (failed []string) {
	t.Helper()
	note := func(name string, err error) {
		if err != nil {
			failed = append(failed, name)
		}
	}
	_, err := q.VerifyChain(w.root.cert, testTime)
	note("chain", err)
	note("QE report", q.VerifyQEReport(w.leaf.cert))
	note("attestation key", q.VerifyAttestationKey())
	note("signature", q.VerifySignature())
	return failed
}

// Each link of the chain is checked by the one method that is named after it.
func TestEachLinkIsChecked(t *testing.T) {
	w, other := newWorld(t, nil), newWorld(t, nil)
	for _, c := range []struct {
		name   string
		quote  func() []byte
		failed []string
	}{
		{"nothing broken", func() []byte { return w.build(t, w.draft(4, 0)) }, nil},
		{"attestation key of another", func() []byte {
			raw := w.build(t, w.draft(4, 0))
			return splice(raw, other.build(t, other.draft(4, 0)), 636+64, 64)
		}, []string{"attestation key", "signature"}},
		{"quote signed by another key", func() []byte {
			raw := w.build(t, w.draft(4, 0))
			return splice(raw, other.build(t, other.draft(4, 0)), 636, 64)
		}, []string{"signature"}},
		{"QE report signed by another platform", func() []byte {
			forged := *w
			forged.leaf.key = other.leaf.key
			return forged.build(t, forged.draft(4, 0))
		}, []string{"QE report"}},
		{"QE bound another key", func() []byte {
			d := w.draft(4, 0)
			d.bound = true
			copy(d.qeReport[320:], numbered(32))
			return w.build(t, d)
		}, []string{"attestation key"}},
		{"other auth data", func() []byte {
			raw := w.build(t, w.draft(4, 0))
			raw[636+134+450] ^= 1
			return raw
		}, []string{"attestation key"}},
		{"certificates of another platform", func() []byte {
			d := w.draft(4, 0)
			d.certs = pemOf(other.leaf.cert, w.ca.cert, w.root.cert)
			return w.build(t, d)
		}, []string{"chain"}},
	} {
		if failed := checks(t, parse(t, c.quote()), w); !slices.Equal(failed, c.failed) {
			t.Errorf("%s: %q fail, want %q", c.name, failed, c.failed)
		}
	}
}

// splice puts n bytes of another quote at the same place.
func splice(raw, other []byte, at, n int) []byte {
	out := bytes.Clone(raw)
	copy(out[at:at+n], other[at:])
	return out
}

// The QE signs 64 bytes of report data, of which the hash takes 32.
func TestRestOfQEReportDataMustBeZero(t *testing.T) {
	w := newWorld(t, nil)
	d := w.draft(4, 0)
	d.qeReport[383] = 1
	wantError(t, parse(t, w.build(t, d)).VerifyAttestationKey(), "attestation key: QE's report data is")
}

// The descriptor of version 5 says which fields the report has: it is signed.
func TestDescriptorOfBodyIsSigned(t *testing.T) {
	w := newWorld(t, nil)
	d := w.draft(5, 3)
	q := parse(t, w.build(t, d))
	if want := 48 + 6 + 648; len(q.signed) != want {
		t.Errorf("%d bytes are signed, want %d", len(q.signed), want)
	}
	q.signed = slices.Delete(slices.Clone(q.signed), 48, 54)
	wantError(t, q.VerifySignature(), "signature does not match the attestation key")
}

// A report of TDX 1.5 cannot pass for one of 1.0, whose quote hides the service TDs.
func TestVersionIsSigned(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.build(t, w.draft(5, 2))
	as4 := slices.Delete(slices.Clone(raw), 48, 54)
	as4[0] = 4
	wantError(t, parse(t, as4).VerifySignature(), "signature does not match the attestation key")
}

func TestSignatureNumbersOutOfRangeAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	n := elliptic.P256().Params().N
	one := big.NewInt(1)
	largest := new(big.Int).Sub(new(big.Int).Lsh(one, 256), one)
	good := parse(t, w.build(t, w.draft(4, 0)))
	for _, bad := range []*big.Int{new(big.Int), n, new(big.Int).Add(n, one), largest} {
		for _, half := range []int{0, 32} {
			q := *good
			bad.FillBytes(q.signature[half : half+32])
			wantError(t, q.VerifySignature(), "signature does not match the attestation key")
			q = *good
			bad.FillBytes(q.qeSignature[half : half+32])
			wantError(t, q.VerifyQEReport(w.leaf.cert), "signature does not match the PCK certificate's key")
		}
	}
}

func TestAttestationKeyMustBeAPoint(t *testing.T) {
	w := newWorld(t, nil)
	q := parse(t, w.build(t, w.draft(4, 0)))
	for _, key := range []string{
		"",   // the point at infinity has no such form
		"01", // not on the curve
		"ffffffff00000001000000000000000000000000ffffffffffffffffffffffff", // x is the field's prime
	} {
		q.key = [64]byte{}
		b, err := hex.DecodeString(key)
		if err != nil {
			t.Fatal(err)
		}
		copy(q.key[:], b)
		wantError(t, q.VerifySignature(), "attestation key is not a point on the curve P-256")
	}
}

func TestQEReportWantsAKeyOfP256(t *testing.T) {
	w := newWorld(t, nil)
	q := parse(t, w.build(t, w.draft(4, 0)))
	other := newWorld(t, func(c *certs) { c.leafKey = newKey(t, elliptic.P384()) })
	wantError(t, q.VerifyQEReport(other.leaf.cert), "not on the curve P-256")
	wantError(t, q.VerifyQEReport(&x509.Certificate{}), "not on the curve P-256")
}
