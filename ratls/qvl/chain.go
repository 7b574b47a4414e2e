package qvl

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"sallyport/internal/oneline"
)

// Certificates directly below the root sign collateral: the TCB signing certificate signs
// documents, a PCK CA signs revocation lists (and platforms). Names and uses are those of
// Intel's "SGX PCK Certificate and CRL Profile Specification". They separate what one root
// certifies, so that the key of a platform cannot sign TCB info.

// The names of issuers.
const (
	nameRoot      = "Intel SGX Root CA"
	namePlatform  = "Intel SGX PCK Platform CA"
	nameProcessor = "Intel SGX PCK Processor CA"
	nameSigner    = "Intel SGX TCB Signing"
)

const maxChain = 32 << 10 // bytes of PEM; Intel's have 2 kB

// parseIssuer reads an issuer chain, a certificate and the root, and returns the certificate.
// The trusted root must have issued it.
func parseIssuer(chain []byte, root *x509.Certificate) (*x509.Certificate, error) {
	if len(chain) > maxChain {
		return nil, fmt.Errorf("%d bytes, more than %d", len(chain), maxChain)
	}
	var certs []*x509.Certificate
	for {
		var b *pem.Block
		if b, chain = pem.Decode(chain); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block %.40q, want CERTIFICATE", b.Type)
		}
		cert, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) != 2 {
		return nil, fmt.Errorf("%d certificates, want an issuer and the root", len(certs))
	}
	if !certs[1].Equal(root) {
		return nil, fmt.Errorf("its root %q is not the trusted root", certs[1].Subject.CommonName)
	}
	return certs[0], nil
}

// checkIssued checks what must hold for every certificate below root.
func checkIssued(cert, root *x509.Certificate) error {
	if err := checkCertificate(cert); err != nil {
		return err
	}
	if !bytes.Equal(cert.RawIssuer, root.RawSubject) {
		return fmt.Errorf("issued by %q, want %q", cert.Issuer.CommonName, root.Subject.CommonName)
	}
	if err := cert.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("not signed by %q: %w", root.Subject.CommonName, err)
	}
	return nil
}

func checkCertificate(cert *x509.Certificate) error {
	switch {
	case p256(cert) == nil:
		return errors.New("key is not on the curve P-256")
	case cert.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return fmt.Errorf("signed with %s, want %s", cert.SignatureAlgorithm, x509.ECDSAWithSHA256)
	case len(cert.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("unknown critical extension %s", cert.UnhandledCriticalExtensions[0])
	}
	return nil
}

// checkRoot checks that root is a root. Its own signature proves nothing.
func checkRoot(root *x509.Certificate) error {
	switch {
	case root.Subject.CommonName != nameRoot:
		return fmt.Errorf("name %q, want %q", root.Subject.CommonName, nameRoot)
	case !bytes.Equal(root.RawIssuer, root.RawSubject):
		return errors.New("is not issued by itself")
	}
	return oneline.Join(checkCertificate(root), checkCA(root))
}

func checkPCKCA(cert *x509.Certificate) error {
	if name := cert.Subject.CommonName; name != namePlatform && name != nameProcessor {
		return fmt.Errorf("name %q, want %q or %q", name, namePlatform, nameProcessor)
	}
	return checkCA(cert)
}

func checkCA(cert *x509.Certificate) error {
	const uses = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	switch {
	case !cert.BasicConstraintsValid || !cert.IsCA:
		return errors.New("is not a CA")
	case cert.KeyUsage&uses != uses:
		return errors.New("key usage does not allow signing certificates and CRLs")
	}
	return nil
}

func checkSigner(cert *x509.Certificate) error {
	switch {
	case cert.Subject.CommonName != nameSigner:
		return fmt.Errorf("name %q, want %q", cert.Subject.CommonName, nameSigner)
	case !cert.BasicConstraintsValid || cert.IsCA:
		return errors.New("is not marked as a leaf (basic constraints without CA)")
	case cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("key usage does not allow signatures")
	}
	return nil
}

// checkSignature checks that signer signed the document. The signature is r and s of 32
// bytes each.
func checkSignature(signer *x509.Certificate, document, signature []byte) error {
	if len(signature) != 64 {
		return fmt.Errorf("%d bytes, want 64", len(signature))
	}
	sum := sha256.Sum256(document)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	if key := p256(signer); key == nil || !ecdsa.Verify(key, sum[:], r, s) {
		return fmt.Errorf("does not verify with the key of %q", signer.Subject.CommonName)
	}
	return nil
}

// p256 returns the certificate's key, nil if it is not a P-256 key.
func p256(cert *x509.Certificate) *ecdsa.PublicKey {
	if key, ok := cert.PublicKey.(*ecdsa.PublicKey); ok && key.Curve == elliptic.P256() {
		return key
	}
	return nil
}

func certificateWindow(cert *x509.Certificate) window { return window{cert.NotBefore, cert.NotAfter} }
