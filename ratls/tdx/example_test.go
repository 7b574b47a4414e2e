package tdx_test

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/google/go-tdx-guest/testing/testdata"

	"sallyport/ratls/tdx"
)

// All that can be said of a quote without collateral.
func Example() {
	fmt.Println(check(testdata.RawQuoteV5, intelRoot(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)))
	// Output:
	// TDX 1.5 on a platform of kind 90c06f000000, certified by the platform CA <nil>
}

func check(raw []byte, root *x509.Certificate, now time.Time) (string, error) {
	q, err := tdx.Parse(raw)
	if err != nil {
		return "", err
	}
	chain, err := q.VerifyChain(root, now)
	if err != nil {
		return "", err
	}
	for _, check := range []func() error{
		func() error { return q.VerifyQEReport(chain.Leaf) },
		q.VerifyAttestationKey,
		q.VerifySignature,
		q.TD.CheckAttributes,
	} {
		if err := check(); err != nil {
			return "", err
		}
	}
	pck, err := tdx.ParsePCK(chain.Leaf)
	if err != nil {
		return "", err
	}
	version := "1.0"
	if q.TD.HasService {
		version = "1.5"
	}
	return fmt.Sprintf("TDX %s on a platform of kind %x, certified by the %s CA", version, pck.FMSPC, pck.CA), nil
}

// intelRoot stands for the root that a program has built in.
func intelRoot() *x509.Certificate {
	q, err := tdx.Parse(testdata.RawQuoteV5)
	if err != nil {
		panic(err)
	}
	chain, err := q.PCKCertificates()
	if err != nil {
		panic(err)
	}
	return chain.Root
}
