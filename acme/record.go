package acme

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"

	"sallyport/internal/oneline"
)

// Certificates as they come from an authority or the store, and what is checked
// before one is served.

// maxChain bounds the certificates of a chain. Every client gets them all.
const maxChain = 10

// certificate is a checked one. It is never changed.
type certificate struct {
	cert   *tls.Certificate
	chain  string     // PEM
	from   string     // the directory that it came from, as far as is known
	at     *authority // the same, nil if it is not configured any more
	stored time.Time
}

func (c *certificate) leaf() *x509.Certificate { return c.cert.Leaf }

// same reports whether both are the same certificate; nil is none.
func (c *certificate) same(other *certificate) bool {
	return c == other || c != nil && other != nil && bytes.Equal(c.leaf().Raw, other.leaf().Raw)
}

func recordPrefix(safeName string) string { return "certificates/" + safeName + "/" }

// load reads the newest stored certificate of name, of any authority, configured or
// not: after a change of the authority, the gateway goes on with the old one's certificate until there is
// a new one. It is nil if there is none. Records that cannot be served are the error,
// also beside a good one.
func (m *Manager) load(ctx context.Context, name string) (newest *certificate, err error) {
	prefix := recordPrefix(certmagic.StorageKeys.Safe(name))
	pairs, err := m.opts.Store.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("stored certificates of %s: %w", name, err)
	}
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(pairs)) {
		var r certificateRecord
		var c *certificate
		err := decode(key, pairs[key], &r)
		if err == nil {
			c, err = r.check(name, time.Now())
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		c.from = strings.TrimPrefix(key, prefix)
		if i := slices.IndexFunc(m.authorities, func(a *authority) bool { return a.key == c.from }); i >= 0 {
			c.at, c.from = m.authorities[i], m.authorities[i].Directory
		}
		if newest == nil || c.stored.After(newest.stored) {
			newest = c
		}
	}
	return newest, oneline.Join(problems...)
}

// check makes a certificate of a stored one.
func (r *certificateRecord) check(name string, now time.Time) (*certificate, error) {
	key, err := parseKey([]byte(r.Key))
	if err != nil {
		return nil, fmt.Errorf("stored key of %s: %w: %w", name, errDamaged, err)
	}
	chain, err := checkChain([]byte(r.Chain), name, &key.PublicKey, now)
	if err != nil {
		return nil, fmt.Errorf("stored certificate of %s: %w: %w", name, errDamaged, err)
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &certificate{cert: cert, chain: r.Chain, stored: r.Stored}, nil
}

// checkChain returns why clients of name could not use the chain with this key. An
// expired one passes: it says since when there is nothing better.
func checkChain(data []byte, name string, key crypto.PublicKey, now time.Time) ([]*x509.Certificate, error) {
	chain, err := parseChain(data)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	pub, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !pub.Equal(leaf.PublicKey):
		return nil, errors.New("it is for another key")
	case len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != name || len(leaf.IPAddresses) > 0:
		return nil, fmt.Errorf("it is for %q", leaf.DNSNames)
	case !leaf.NotAfter.After(leaf.NotBefore):
		return nil, errors.New("it ends before it begins")
	case leaf.NotBefore.After(now.Add(clockSkew)):
		return nil, fmt.Errorf("it is not valid before %s: is the clock right?", leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	return chain, nil
}

// clockSkew is how far our clock may be behind the authority's.
const clockSkew = time.Hour

func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for len(bytes.TrimSpace(data)) > 0 {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("it is not a chain of PEM certificates")
		}
		if len(chain) == maxChain {
			return nil, fmt.Errorf("it has more than %d certificates", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("it is empty")
	}
	return chain, nil
}

// request makes the certificate request of a rehearsal; the others are certmagic's.
func request(name string) (*x509.CertificateRequest, error) {
	key, _, err := newKey()
	if err != nil {
		return nil, err
	}
	return acmez.NewCSR(key, []string{name})
}
