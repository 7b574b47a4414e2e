package ratls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/hostname"
	"sallyport/ratls/attestation"
)

// A certificate without an authority: key → report data → quote → certificate.
//
//   - The key is made first and its hash goes into the quote, so the evidence can be
//     shown by its owner alone.
//   - The evidence is stripped, as dstack does: the whole log is some 50 kB, and what
//     is left of it is enough for all that a Verifier looks at.
//   - The certificate says nothing else about the machine. App id, usage and app info
//     (.3, .4, .9) are the words of an authority, for readers who do not look at evidence:
//     to them a machine must not speak for itself.

// An AttestFunc has the hardware of this machine quote reportData, and returns the
// versioned attestation of that, whole: package attester makes such. It is given up
// when ctx ends.
type AttestFunc func(ctx context.Context, reportData [64]byte) (versioned []byte, err error)

// NewCertificate makes a certificate for a server on this machine: of a new key, signed
// by it, with evidence that binds it. Clients accept it that verify evidence, as Verifier
// does, and no others.
//
// Names are host names, with or without "*." in front; the first is the subject too. The
// certificate is valid from five minutes ago, for clocks that are behind, and for
// validity from now on. Policy.MaxAge counts from its beginning.
func NewCertificate(ctx context.Context, attest AttestFunc, names []string, validity time.Duration) (tls.Certificate, error) {
	cert, err := newCertificate(ctx, attest, names, validity)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return cert, nil
}

func newCertificate(ctx context.Context, attest AttestFunc, names []string, validity time.Duration) (tls.Certificate, error) {
	now := time.Now()
	template, err := serverTemplate(names, now.Add(-maxSkew), now.Add(validity))
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	evidence, err := evidenceFor(ctx, attest, &key.PublicKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	if template.ExtraExtensions, err = (Extensions{Attestation: evidence}).Marshal(); err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// serverTemplate is all of the certificate but its evidence.
func serverTemplate(names []string, from, until time.Time) (*x509.Certificate, error) {
	if len(names) == 0 {
		return nil, errors.New("want at least one host name")
	}
	if !until.After(from.Add(maxSkew)) {
		return nil, errors.New("want a validity above zero")
	}
	for _, name := range names {
		if !hostname.Valid(strings.TrimPrefix(name, "*.")) {
			return nil, fmt.Errorf("%q is not a host name", name)
		}
	}
	t := &x509.Certificate{
		DNSNames:    names,
		NotBefore:   from,
		NotAfter:    until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Not an authority, and said so: it may find its way into somebody's list of roots.
		BasicConstraintsValid: true,
	}
	const maxCommonName = 64 // RFC 5280, appendix A.1
	if len(names[0]) <= maxCommonName {
		t.Subject = pkix.Name{CommonName: names[0]}
	} else {
		t.Subject = pkix.Name{CommonName: "RA-TLS"} // an issuer must not be empty (RFC 5280, 4.1.2.4)
	}
	return t, nil
}

// evidenceFor asks for evidence that binds key, and returns it as it goes into a
// certificate.
func evidenceFor(ctx context.Context, attest AttestFunc, key *ecdsa.PublicKey) ([]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	want := attestation.ReportData(attestation.TagRATLSCert, spki)
	versioned, err := attest(ctx, want)
	if err != nil {
		return nil, err
	}
	a, err := attestation.Parse(versioned)
	if err != nil {
		return nil, fmt.Errorf("evidence of this CVM: %w", err)
	}
	if a.ReportData != want {
		return nil, errors.New("evidence of this CVM has other report data than requested")
	}
	return a.Strip().Marshal()
}
