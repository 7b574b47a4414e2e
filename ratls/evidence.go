package ratls

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"sallyport/ratls/attestation"
)

// Evidence is the hardware's statement about a CVM, as in a certificate. It is unverified.
type Evidence struct {
	// Attestation is a versioned attestation (extension .8). If it is nil, Quote and
	// EventLog (.1, .2) are the evidence.
	Attestation     []byte
	Quote, EventLog []byte
	// VMConfig is the configuration of the CVM for Quote and EventLog. An Attestation has
	// its own. Certificates do not have one.
	VMConfig string
	// PublicKey is the certificate's SubjectPublicKeyInfo in DER. The report data of the
	// evidence must bind this key: otherwise any evidence could be copied into any
	// certificate.
	PublicKey []byte
	// Tag is the purpose of the quote; "" is TagRATLSCert.
	Tag attestation.Tag
	// Issued is the NotBefore of the certificate; see Policy.MaxAge.
	Issued time.Time
}

// An Appraiser appraises evidence. [Verifier] implements it.
type Appraiser interface {
	// Appraise returns what e proves, or an error that names the broken rule. It must
	// take e to be hostile and must not keep it. It may fetch what it needs until ctx
	// ends, and may be called concurrently. Callers must not change the verdict.
	Appraise(ctx context.Context, e Evidence) (*Verdict, error)
}

// EvidenceOf returns the evidence in a certificate, or ErrNoAttestation if it has none. It
// verifies nothing.
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

// evidence returns the evidence in a certificate and reports whether there is any. An event
// log alone does not count: it proves nothing without a quote.
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

// agreesWith checks that the authority and the hardware describe one CVM. It compares only
// the ids: an authority may write less than the evidence proves, as a KMS does for the
// device id.
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
