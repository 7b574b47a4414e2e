package ratls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// quoting is a machine that quotes anything, and one who verifies it.
func quoting(t *testing.T, p *Policy) (AttestFunc, *Verifier) {
	t.Helper()
	pki := tdxpki.New(1, time.Now())
	c, err := qvl.ParseCollateral(pki.Collateral().Sign().File())
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := pccs.NewFixed(c, pki.Root.Cert())
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierOptions{Collateral: fixed, Root: pki.Root.Cert(), Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	return func(_ context.Context, reportData [64]byte) ([]byte, error) {
		m := pki.Guest(tdxpki.Guest{AppID: testApp, ChangeQuote: func(q *tdxpki.Quote) { q.TD.ReportData = reportData }})
		return m.Attestation.V0(), nil
	}, v
}

func newOwn(t *testing.T, attest AttestFunc, names ...string) tls.Certificate {
	t.Helper()
	cert, err := NewCertificate(t.Context(), attest, names, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestOwnCertificateSatisfiesAVerifier(t *testing.T) {
	attest, v := quoting(t, &Policy{MaxAge: time.Hour})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "attested") }))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{newOwn(t, attest, "*.gw.example", "gw.example")}}
	srv.StartTLS()
	defer srv.Close()
	client := v.HTTPClient(Peer{App: testApp, AnySystem: true})
	defer client.CloseIdleConnections()
	resp, err := client.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "attested" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := v.HTTPClient(Peer{App: otherApp, AnySystem: true}).Get(srv.URL); err == nil || !strings.Contains(err.Error(), "want "+otherApp.String()) {
		t.Errorf("another app was expected: %v", err)
	}
}

func TestOwnCertificateSaysNothingWithoutEvidence(t *testing.T) {
	attest, _ := quoting(t, nil)
	leaf := newOwn(t, attest, "*.gw.example", "gw.example").Leaf
	ext, err := ParseExtensions(leaf.Extensions)
	if err != nil {
		t.Fatal(err)
	}
	if ext.Attestation == nil || !ext.AppID.IsZero() || ext.Usage != "" || ext.AppInfo != nil || ext.Quote != nil {
		t.Errorf("%+v", ext)
	}
	a, err := attestation.Parse(ext.Attestation)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range a.Events {
		if e.IMR != 3 && !strings.HasPrefix(e.Name, "acpi-") || e.IMR == 3 && len(e.Digest) > 0 {
			t.Errorf("not stripped: %+v", e)
		}
	}
	if len(a.RuntimeEvents) == 0 {
		t.Error("the log of RTMR3 is lost")
	}
}

func TestOwnCertificateIsAServersOfItsNames(t *testing.T) {
	attest, _ := quoting(t, nil)
	before := time.Now()
	cert := newOwn(t, attest, "*.gw.example", "gw.example")
	leaf := cert.Leaf
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for _, name := range []string{"app.gw.example", "gw.example"} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Error(err)
		}
	}
	if leaf.IsCA || leaf.KeyUsage != x509.KeyUsageDigitalSignature || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth {
		t.Errorf("CA %v, usages %v %v", leaf.IsCA, leaf.KeyUsage, leaf.ExtKeyUsage)
	}
	if leaf.NotBefore.After(before.Add(-maxSkew+time.Second)) || leaf.NotAfter.Before(before.Add(time.Hour-time.Second)) || leaf.NotAfter.After(time.Now().Add(time.Hour)) {
		t.Errorf("valid from %v until %v", leaf.NotBefore, leaf.NotAfter)
	}
	if leaf.PublicKey.(*ecdsa.PublicKey).Curve != elliptic.P256() {
		t.Error("the key is not on P-256")
	}
	again := newOwn(t, attest, "*.gw.example", "gw.example").Leaf
	if again.SerialNumber.Cmp(leaf.SerialNumber) == 0 || leaf.PublicKey.(*ecdsa.PublicKey).Equal(again.PublicKey) {
		t.Error("two certificates share a key or a serial number")
	}
}

func TestLongNameIsNoCommonName(t *testing.T) {
	attest, v := quoting(t, nil)
	name := "*." + strings.Repeat("a.", 90) + "example"
	leaf := newOwn(t, attest, name).Leaf
	if len(leaf.Subject.CommonName) > 64 || leaf.Subject.CommonName == "" || leaf.DNSNames[0] != name {
		t.Errorf("%v, %v", leaf.Subject, leaf.DNSNames)
	}
	if _, err := v.AppraisePeer(t.Context(), []*x509.Certificate{leaf}, Peer{AnySystem: true}); err != nil {
		t.Error(err)
	}
}

func TestEvidenceOfAnotherKeyMakesNoCertificate(t *testing.T) {
	attest, _ := quoting(t, nil)
	noise, refusal := []byte{0, 1, 2}, errors.New("the agent is down")
	for name, tc := range map[string]struct {
		attest AttestFunc
		want   string
	}{
		"another key's": {func(ctx context.Context, _ [64]byte) ([]byte, error) { return attest(ctx, [64]byte{1}) }, "other report data than requested"},
		"noise":         {func(context.Context, [64]byte) ([]byte, error) { return noise, nil }, "evidence of this CVM"},
		"none":          {func(context.Context, [64]byte) ([]byte, error) { return nil, nil }, "evidence of this CVM"},
		"refused":       {func(context.Context, [64]byte) ([]byte, error) { return nil, refusal }, "make certificate: the agent is down"},
	} {
		cert, err := NewCertificate(t.Context(), tc.attest, []string{"gw.example"}, time.Hour)
		if err == nil || !strings.Contains(err.Error(), tc.want) || cert.Leaf != nil || cert.PrivateKey != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificateThatNobodyCouldUseIsNotMade(t *testing.T) {
	never := func(context.Context, [64]byte) ([]byte, error) {
		t.Error("the machine was asked")
		return nil, net.ErrClosed
	}
	for _, tc := range []struct {
		names    []string
		validity time.Duration
	}{
		{nil, time.Hour},
		{[]string{"*.*.gw.example"}, time.Hour},
		{[]string{"https://gw.example"}, time.Hour},
		{[]string{"gw.example", ""}, time.Hour},
		{[]string{"gw.example"}, 0},
		{[]string{"gw.example"}, -time.Minute},
	} {
		if _, err := NewCertificate(t.Context(), never, tc.names, tc.validity); err == nil {
			t.Errorf("%q for %v: made", tc.names, tc.validity)
		}
	}
}
