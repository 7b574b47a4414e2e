package pccs

import (
	"context"
	"crypto/x509"
	"fmt"

	"sallyport/internal/regularfile"
	"sallyport/ratls/qvl"
)

// Fixed is the collateral of one platform, whether it is valid now or not: for verification
// without a network, and for evidence of the past. It may be used concurrently.
type Fixed struct {
	platform Platform
	docs     *qvl.Collateral
	prepared *qvl.Prepared
	refused  error // by qvl.Prepare
}

// NewFixed returns c as a source for the platform that it names. root is the root of its
// signatures; nil is Intel's. If they do not verify, Prepared returns the reason.
func NewFixed(c *qvl.Collateral, root *x509.Certificate) (*Fixed, error) {
	h, err := readHead(c)
	if err != nil {
		return nil, err
	}
	f := &Fixed{platform: h.platform, docs: c}
	f.prepared, f.refused = qvl.Prepare(c, orIntel(root))
	return f, nil
}

// File is like NewFixed, for a file in dcap-qvl's JSON format.
func File(name string, root *x509.Certificate) (*Fixed, error) {
	data, _, err := regularfile.Read(name, qvl.MaxCollateral)
	if err != nil {
		return nil, err
	}
	c, err := qvl.ParseCollateral(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f, err := NewFixed(c, root)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return f, nil
}

// Platform returns the platform of the collateral.
func (f *Fixed) Platform() Platform { return f.platform }

// Collateral returns the collateral. For another platform it returns an error that wraps
// ErrUnavailable.
func (f *Fixed) Collateral(_ context.Context, p Platform) (*qvl.Collateral, error) {
	if p != f.platform {
		return nil, fmt.Errorf("%w for %s: the given collateral is for %s", ErrUnavailable, p, f.platform)
	}
	return f.docs, nil
}

// Prepared returns the collateral in its verified form. An error that does not wrap
// ErrUnavailable is the one of qvl.Prepare.
func (f *Fixed) Prepared(ctx context.Context, p Platform) (*qvl.Prepared, error) {
	if _, err := f.Collateral(ctx, p); err != nil {
		return nil, err
	}
	return f.prepared, f.refused
}

func orIntel(root *x509.Certificate) *x509.Certificate {
	if root == nil {
		return qvl.IntelRoot()
	}
	return root
}
