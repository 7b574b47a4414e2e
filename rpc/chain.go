package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// authorities are the roots that clients' certificates must lead to.
type authorities struct {
	pool *x509.CertPool
	list []*x509.Certificate
}

// authenticate identifies the caller: it verifies the client's certificate again, against the roots in
// force now. The handshake has done so by those of then, and a connection lives on.
func (id *Identity) authenticate(r *http.Request) (*tls.ConnectionState, *x509.Certificate, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil, &statusError{http.StatusBadRequest, "Client authentication is required"} // the reference's words
	}
	leaf, now := r.TLS.PeerCertificates[0], time.Now()
	if now.After(leaf.NotAfter) {
		return nil, nil, fmt.Errorf("the client certificate expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: id.current.Load().roots.pool, Intermediates: poolOf(r.TLS.PeerCertificates[1:]),
		CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("the client certificate is no longer valid: %w", err)
	}
	state := *r.TLS
	state.VerifiedChains = chains
	return &state, leaf, nil
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool
}

// checkChain does what a guest does, except for the host name.
func checkChain(pair tls.Certificate, roots *x509.CertPool, now time.Time) error {
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		between.AddCert(c)
	}
	_, err := pair.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

// parseAuthorities reads the certificates of a PEM file.
func parseAuthorities(data []byte) (a authorities, err error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return authorities{}, err
		}
		if !c.IsCA {
			return authorities{}, fmt.Errorf("%s is not an authority: want the root that signs guests", c.Subject)
		}
		a.list = append(a.list, c)
	}
	if len(a.list) == 0 {
		return authorities{}, errors.New(`has no certificate: want PEM, "-----BEGIN CERTIFICATE-----"`)
	}
	a.pool = poolOf(a.list)
	return a, nil
}
