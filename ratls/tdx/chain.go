package tdx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// The names of Intel's certificates ("Intel SGX PCK Certificate and Certificate
// Revocation List Profile Specification").
const (
	nameRoot      = "Intel SGX Root CA"
	namePlatform  = "Intel SGX PCK Platform CA"
	nameProcessor = "Intel SGX PCK Processor CA"
	namePCK       = "Intel SGX PCK Certificate"
)

// A Chain holds the certificates of a platform.
type Chain struct {
	Leaf         *x509.Certificate // of the provisioning certification key (PCK): see ParsePCK
	Intermediate *x509.Certificate // of Intel's Platform or Processor CA
	Root         *x509.Certificate
}

// PCKCertificates parses the certificates of the quote. It verifies nothing: use VerifyChain
// before trusting them.
func (q *Quote) PCKCertificates() (*Chain, error) {
	if len(q.PCKChain) != 3 {
		return nil, fmt.Errorf("PCK chain: has %d certificates, want 3", len(q.PCKChain))
	}
	c := &Chain{}
	for i, to := range []**x509.Certificate{&c.Leaf, &c.Intermediate, &c.Root} {
		var err error
		if *to, err = x509.ParseCertificate(q.PCKChain[i]); err != nil {
			return nil, fmt.Errorf("PCK chain: certificate %d: %w", i+1, err)
		}
	}
	return c, nil
}

// VerifyChain checks that the platform's certificate is valid at now, that one of Intel's PCK
// CAs issued it, and that root issued that CA. root must also be the last certificate of the
// quote. It does not check revocation: package qvl does.
func (q *Quote) VerifyChain(root *x509.Certificate, now time.Time) (*Chain, error) {
	c, err := q.PCKCertificates()
	if err != nil {
		return nil, err
	}
	if !c.Root.Equal(root) {
		return nil, errors.New("PCK chain: its root is not the trusted root")
	}
	for _, check := range []func(time.Time) error{c.checkEach, c.checkNames, c.checkUse, c.checkIssue} {
		if err := check(now); err != nil {
			return nil, fmt.Errorf("PCK chain: %w", err)
		}
	}
	return c, nil
}

// checkEach checks what must hold for all three certificates.
func (c *Chain) checkEach(now time.Time) error {
	for i, cert := range []*x509.Certificate{c.Leaf, c.Intermediate, c.Root} {
		role := [...]string{"leaf", "intermediate", "root"}[i]
		key, ok := cert.PublicKey.(*ecdsa.PublicKey)
		switch {
		case cert.Version != 3:
			return fmt.Errorf("%s: X.509 version %d, want 3", role, cert.Version)
		case !ok || key.Curve != elliptic.P256():
			return fmt.Errorf("%s: key is not on the curve P-256", role)
		case cert.SignatureAlgorithm != x509.ECDSAWithSHA256:
			return fmt.Errorf("%s: signed with %s, want %s", role, cert.SignatureAlgorithm, x509.ECDSAWithSHA256)
		case now.Before(cert.NotBefore):
			return fmt.Errorf("%s: not valid before %s", role, cert.NotBefore.Format(time.RFC3339))
		case now.After(cert.NotAfter):
			return fmt.Errorf("%s: not valid after %s", role, cert.NotAfter.Format(time.RFC3339))
		}
	}
	return nil
}

// checkNames separates what Intel's root certifies: its TCB signing certificate must not
// count as a platform's. checkIssue checks that each issuer is the subject of the next.
func (c *Chain) checkNames(time.Time) error {
	leaf, intermediate, root := c.Leaf.Subject.CommonName, c.Intermediate.Subject.CommonName, c.Root.Subject.CommonName
	switch {
	case leaf != namePCK:
		return fmt.Errorf("leaf: name is %.64q, want %q", leaf, namePCK)
	case intermediate != namePlatform && intermediate != nameProcessor:
		return fmt.Errorf("intermediate: name is %.64q, want %q or %q", intermediate, namePlatform, nameProcessor)
	case root != nameRoot:
		return fmt.Errorf("root: name is %.64q, want %q", root, nameRoot)
	}
	return nil
}

// checkUse checks the key usages.
func (c *Chain) checkUse(time.Time) error {
	mayIssue := func(ca *x509.Certificate) bool {
		return ca.BasicConstraintsValid && ca.IsCA && ca.KeyUsage&x509.KeyUsageCertSign != 0
	}
	switch {
	case c.Leaf.IsCA:
		return errors.New("leaf: is a CA")
	case c.Leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return errors.New("leaf: key usage does not allow signatures")
	case !mayIssue(c.Intermediate):
		return errors.New("intermediate: is not a CA that may sign certificates")
	case c.Intermediate.MaxPathLen != 0: // crypto/x509 has -1 without a limit
		return errors.New("intermediate: is not limited to path length 0")
	case !mayIssue(c.Root):
		return errors.New("root: is not a CA that may sign certificates")
	}
	return nil
}

// checkIssue builds the chain with crypto/x509 (names, signatures, path lengths, critical
// extensions), and accepts it only if it has all three certificates. It checks the
// intermediate first, so that a leaf of strangers costs no time.
func (c *Chain) checkIssue(now time.Time) error {
	if err := c.Intermediate.CheckSignatureFrom(c.Root); err != nil {
		return fmt.Errorf("intermediate: not issued by the root: %w", err)
	}
	o := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	o.Roots.AddCert(c.Root)
	o.Intermediates.AddCert(c.Intermediate)
	chains, err := c.Leaf.Verify(o)
	if err != nil {
		return fmt.Errorf("leaf: %w", err)
	}
	for _, chain := range chains {
		if slices.EqualFunc(chain, []*x509.Certificate{c.Leaf, c.Intermediate, c.Root}, (*x509.Certificate).Equal) {
			return nil
		}
	}
	return errors.New("leaf: not issued by the intermediate")
}
