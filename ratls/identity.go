package ratls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
)

// ErrNoAttestation refuses a certificate without hardware evidence where evidence is
// required. Its text is part of a protocol: a dstack guest (0.5.6 and newer) that finds
// these words in the answer to its registration retries at once with the certificate that
// has evidence. No other error of this package contains them.
var ErrNoAttestation = errors.New("no attestation provided")

// Identity identifies the holder of a certificate. Its ids are never zero.
type Identity struct {
	AppInfo        // from the authority; from the evidence if the authority wrote none
	Usage   string // UsageApp
	// HasQuote reports whether the certificate carries hardware evidence. Verdict is
	// what that proves, nil if it was not appraised.
	HasQuote bool
	Verdict  *Verdict
}

// Options are requirements for a certificate. The zero value trusts the authority alone.
type Options struct {
	// RequireQuote refuses certificates without hardware evidence, and all certificates
	// if there is no Appraiser.
	RequireQuote bool
	// Appraiser appraises the evidence in certificates. If it is nil, a certificate with
	// evidence is identified by its app info, and refused without one.
	Appraiser Appraiser
}

// Identify returns the identity of the holder of a certificate. chain is a verified chain
// from leaf to root, such as the first of [crypto/tls.ConnectionState.VerifiedChains];
// Identify does not check signatures, dates and key usages again. It may be called
// concurrently.
//
// The app id must be the same in the leaf, in the authority that issued it, and in the app
// info: each app has its own authority. The error wraps [ErrNoAttestation] if evidence is
// required and missing, or the error of the Appraiser.
func Identify(ctx context.Context, chain []*x509.Certificate, opts Options) (Identity, error) {
	id, err := identify(ctx, chain, opts)
	if err != nil {
		return Identity{}, fmt.Errorf("certificate: %w", err)
	}
	return id, nil
}

// CheckApp returns an error unless cert is a certificate of app, or of any app if app is
// zero. It checks nothing else: the caller must have verified the chain.
func CheckApp(cert *x509.Certificate, app AppID) error {
	ext, err := ParseExtensions(cert.Extensions)
	switch {
	case err != nil:
		return fmt.Errorf("certificate: %w", err)
	case ext.AppID.IsZero():
		return errors.New("certificate: it has no app id")
	case !app.IsZero() && ext.AppID != app:
		return fmt.Errorf("certificate: its app id is %s, want %s", ext.AppID, app)
	}
	return nil
}

func identify(ctx context.Context, chain []*x509.Certificate, opts Options) (Identity, error) {
	if len(chain) < 2 {
		return Identity{}, fmt.Errorf("chain of %d certificates, want leaf, app CA and root", len(chain))
	}
	leaf, err := leafExtensions(chain[0])
	if err != nil {
		return Identity{}, err
	}
	if err := checkIssuer(chain[1], leaf.AppID); err != nil {
		return Identity{}, err
	}
	if leaf.AppInfo != nil { // first what costs nothing: judging evidence is expensive
		if err := checkAppInfo(leaf.AppInfo, leaf.AppID); err != nil {
			return Identity{}, err
		}
	}
	evidence, hasQuote := leaf.evidence(chain[0])
	verdict, err := opts.judge(ctx, evidence, hasQuote, leaf.AppInfo)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Usage: leaf.Usage, HasQuote: hasQuote, Verdict: verdict}
	switch {
	case leaf.AppInfo != nil:
		id.AppInfo = *leaf.AppInfo
	case verdict == nil:
		return Identity{}, errors.New("neither app info nor attestation provided")
	default:
		id.AppInfo = verdict.AppInfo
		if err := checkAppInfo(&id.AppInfo, leaf.AppID); err != nil {
			return Identity{}, fmt.Errorf("attestation: %w", err)
		}
	}
	return id, nil
}

// leafExtensions returns the extensions of a certificate that was issued for an app.
func leafExtensions(cert *x509.Certificate) (Extensions, error) {
	e, err := ParseExtensions(cert.Extensions)
	switch {
	case err != nil:
		return Extensions{}, err
	case cert.IsCA:
		return Extensions{}, errors.New("belongs to a CA, want a leaf")
	case e.AppID.IsZero():
		return Extensions{}, errors.New("no app id")
	case e.Usage != UsageApp:
		return Extensions{}, fmt.Errorf("usage %q, want %q", e.Usage, UsageApp)
	}
	return e, nil
}

func checkIssuer(cert *x509.Certificate, app AppID) error {
	e, err := ParseExtensions(cert.Extensions)
	switch {
	case err != nil:
		return fmt.Errorf("issuing CA: %w", err)
	case e.AppID.IsZero():
		return errors.New("issuing CA: no app id")
	case e.Usage != UsageAppCA:
		return fmt.Errorf("issuing CA: usage %q, want %q", e.Usage, UsageAppCA)
	case e.AppID != app:
		return fmt.Errorf("app id %s, but its issuing CA is of app %s", app, e.AppID)
	}
	return nil
}

func checkAppInfo(info *AppInfo, app AppID) error {
	switch {
	case info.AppID != app:
		return fmt.Errorf("app id %s, but its app info is of app %s", app, info.AppID)
	case info.InstanceID.IsZero():
		return errors.New("app info: no instance id")
	}
	return nil
}

// judge returns the verdict on the evidence in a certificate, nil if none is needed: then
// info is the statement of the authority, which saw the evidence when it signed.
func (o Options) judge(ctx context.Context, e Evidence, hasQuote bool, info *AppInfo) (*Verdict, error) {
	switch {
	case !hasQuote && o.RequireQuote:
		return nil, ErrNoAttestation
	case !hasQuote:
		return nil, nil
	case o.Appraiser == nil && o.RequireQuote:
		return nil, errors.New("attestation is required, but no verifier is configured to appraise it")
	case o.Appraiser == nil && info == nil:
		return nil, errors.New("no app info, and no verifier is configured to appraise the attestation")
	case o.Appraiser == nil:
		return nil, nil
	}
	v, err := o.Appraiser.Appraise(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	if info != nil {
		if err := info.agreesWith(&v.AppInfo); err != nil {
			return nil, err
		}
	}
	return v, nil
}
