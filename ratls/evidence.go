package ratls

import (
	"context"
	"crypto/x509"
	"fmt"
)

// Evidence is what the hardware of a machine says about it, as it stands in a
// certificate: unverified.
type Evidence struct {
	// Attestation is a versioned attestation (extension .8). Where there is
	// none, Quote and EventLog (.1, .2) are the evidence.
	Attestation     []byte
	Quote, EventLog []byte
	// PublicKey is the certificate's SubjectPublicKeyInfo in DER. Evidence
	// counts only if its report data binds this key: without that, anybody's
	// evidence could be copied into any certificate.
	PublicKey []byte
}

// A Verdict is what evidence proves.
type Verdict struct {
	AppInfo AppInfo
}

// A Verifier judges evidence.
type Verifier interface {
	// Verify returns what e proves, or an error that says which rule it breaks.
	// It must hold all of e to be hostile, may fetch what it needs until
	// ctx ends, and may be called concurrently. It must not keep e.
	Verify(ctx context.Context, e Evidence) (Verdict, error)
}

// evidence returns the evidence in a certificate, if there is any. An event log alone
// is none: it proves nothing without a quote.
func (e Extensions) evidence(cert *x509.Certificate) (Evidence, bool) {
	switch {
	case e.Attestation != nil:
		return Evidence{Attestation: e.Attestation, PublicKey: cert.RawSubjectPublicKeyInfo}, true
	case e.Quote != nil:
		return Evidence{Quote: e.Quote, EventLog: e.EventLog, PublicKey: cert.RawSubjectPublicKeyInfo}, true
	}
	return Evidence{}, false
}

// agreesWith checks that the authority's word and the hardware's are about one
// machine. Only the ids are compared: an authority may write less than the
// evidence proves (it does so for the device id).
func (a *AppInfo) agreesWith(proven *AppInfo) error {
	switch {
	case a.AppID != proven.AppID:
		return fmt.Errorf("app info says app %s, its attestation proves app %s", a.AppID, proven.AppID)
	case a.InstanceID != proven.InstanceID:
		return fmt.Errorf("app info says instance %s, its attestation proves instance %s", a.InstanceID, proven.InstanceID)
	case a.ComposeHash != proven.ComposeHash:
		return fmt.Errorf("app info says compose hash %s, its attestation proves %s", a.ComposeHash, proven.ComposeHash)
	}
	return nil
}
