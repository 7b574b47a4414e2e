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
//   - The key is made first and its hash goes into the quote, so only the owner of the key
//     can use the evidence.
//   - The evidence is stripped, as in dstack: the whole log has some 50 kB, and the rest is
//     enough for a Verifier.
//   - The certificate says nothing else about the CVM. App id, usage and app info (.3, .4,
//     .9) are statements of an authority, for readers that do not verify evidence.

// An AttestFunc returns evidence of the CVM that this program runs in, bound to reportData:
// a versioned attestation, not stripped. Package attester makes it. It must return when ctx
// ends.
type AttestFunc func(ctx context.Context, reportData [64]byte) (versioned []byte, err error)

// NewCertificate returns a certificate for a server on this CVM: self-signed, with a new key,
// and with evidence that binds the key. Only clients that verify evidence, as Verifier does,
// accept it.
//
// names are host names, with or without "*." in front. The first is also the subject. The
// certificate is valid from five minutes ago, for clocks that are behind, until validity
// from now. Policy.MaxAge counts from its beginning.
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

// serverTemplate returns the certificate without its evidence.
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

// evidenceFor returns evidence that binds key, in the form for a certificate.
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
