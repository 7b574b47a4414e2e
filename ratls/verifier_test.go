package ratls

import (
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

func TestGoodMachineIsVerified(t *testing.T) {
	now := time.Now()
	pki := tdxpki.New(1, now)
	d := pki.Collateral().Sign()
	c, err := qvl.ParseCollateral(d.File())
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := pccs.NewFixed(c, pki.Root.Cert())
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierOptions{Collateral: fixed, Root: pki.Root.Cert()})
	if err != nil {
		t.Fatal(err)
	}
	m := pki.Guest(tdxpki.Guest{})
	e, err := EvidenceOf(m.Certificate.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	r := v.Examine(t.Context(), e)
	for _, s := range r.Steps {
		t.Logf("%-30s %s %v", s.Name, s.Value, s.Err)
	}
	if r.Err != nil {
		t.Fatal(r.Err)
	}
}
