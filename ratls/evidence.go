package ratls

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"sallyport/ratls/attestation"
)

// Evidence is what the hardware of a machine says about it, as it stands in a
// certificate: unverified.
type Evidence struct {
	// Attestation is a versioned attestation (extension .8). Where there is
	// none, Quote and EventLog (.1, .2) are the evidence.
	Attestation     []byte
	Quote, EventLog []byte
	// VMConfig is the machine's configuration beside Quote and EventLog; an Attestation
	// has its own. Certificates have none.
	VMConfig string
	// PublicKey is the certificate's SubjectPublicKeyInfo in DER. Evidence
	// counts only if its report data binds this key: without that, anybody's
	// evidence could be copied into any certificate.
	PublicKey []byte
	// Tag is for what the quote was asked: TagRATLSCert if empty.
	Tag attestation.Tag
	// Issued is when the certificate was made, by its own word; see Policy.MaxAge.
	Issued time.Time
}

// An Appraiser judges evidence. [Verifier] is one.
type Appraiser interface {
	// Appraise returns what e proves, or an error that says which rule it breaks.
	// It must hold all of e to be hostile, may fetch what it needs until
	// ctx ends, and may be called concurrently. It must not keep e. Nobody changes
	// the verdict.
	Appraise(ctx context.Context, e Evidence) (*Verdict, error)
}

// EvidenceOf returns the evidence in a certificate; ErrNoAttestation where there is
// none. It verifies nothing.
func EvidenceOf(cert *x509.Certificate) (Evidence, error) {
	ext, err := ParseExtensions(cert.Extensions)
	if err != nil {
		return Evidence{}, fmt.Errorf("certificate: %w", err)
	}
	e, ok := ext.evidence(cert)
	if !ok {
		return Evidence{}, ErrNoAttestation
	}
	return e, nil
}

// evidence returns the evidence in a certificate, if there is any. An event log alone
// is none: it proves nothing without a quote.
func (e Extensions) evidence(cert *x509.Certificate) (Evidence, bool) {
	found := Evidence{PublicKey: cert.RawSubjectPublicKeyInfo, Issued: cert.NotBefore}
	switch {
	case e.Attestation != nil:
		found.Attestation = e.Attestation
	case e.Quote != nil:
		found.Quote, found.EventLog = e.Quote, e.EventLog
	default:
		return Evidence{}, false
	}
	return found, true
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
