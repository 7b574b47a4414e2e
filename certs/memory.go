package certs

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"sallyport/internal/oneline"
)

// Certificates that somebody in this process makes: an issuer, or the gateway with its
// own evidence. They are handed over by Set, at any time, and are held to the rules of
// files: a certificate that clients would refuse is not served.
//
// Until the first one the domain has no certificate. It is routed all the same: a
// client is refused with an alert, not taken for one of an unknown name.

// Set serves cert for a domain whose source has From. The error says why it does not:
// what was served before stays. cert must not be changed afterwards. It does not wait
// for a disk.
func (x *Index) Set(domain string, cert *tls.Certificate) error { return x.set(domain, false, cert) }

// SetApex is Set for the domain's source with Apex.
func (x *Index) SetApex(domain string, cert *tls.Certificate) error { return x.set(domain, true, cert) }

func (x *Index) set(domain string, apex bool, cert *tls.Certificate) error {
	d := x.table.Load().of(apex)[domain]
	if d == nil || d.source.From == "" {
		return fmt.Errorf("certificate of %s: no domain needs it: the domain was removed, or has files", domain)
	}
	p, err := checkMade(cert, d.source, time.Now())
	if err != nil {
		return fmt.Errorf("certificate of %s, from %s: %w", d.source.title(), d.source.From, err)
	}
	before := d.served.Swap(p)
	leaf := p.cert.Leaf
	x.opts.Log.Info("certificate set", "domain", domain, "name", d.source.name(), "from", d.source.From, "first", before == nil,
		"not_after", leaf.NotAfter, "serial", leaf.SerialNumber.Text(16))
	return nil
}

// checkMade is checkPair for a certificate in memory.
func checkMade(cert *tls.Certificate, s Source, now time.Time) (*pair, error) {
	if len(cert.Certificate) == 0 || len(cert.Certificate) > maxChain {
		return nil, fmt.Errorf("has %d certificates: want the leaf and its intermediates, at most %d", len(cert.Certificate), maxChain)
	}
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", cert.PrivateKey)
	}
	chain := make([]*x509.Certificate, len(cert.Certificate))
	for i, der := range cert.Certificate {
		var err error
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("certificate %d: %w", i+1, err)
		}
	}
	problems := append(checkLeaf(chain[0], s, now), checkMatch(chain, key))
	if err := oneline.Join(problems...); err != nil {
		return nil, err
	}
	served := *cert
	served.Leaf = chain[0]
	return &pair{cert: &served}, nil
}

// check refuses a source that is both.
func (s Source) check() error {
	if s.CertFile != "" || s.KeyFile != "" {
		return fmt.Errorf("certificate of %s: is from %s and from files: want one of the two", s.Domain, s.From)
	}
	return nil
}

// logAgain is how often it is logged that a domain has no certificate yet: clients try
// again and again.
const logAgain = time.Minute

// refuse is the answer to a handshake that came before the certificate.
func (d *domain) refuse(now time.Time) error {
	d.index.missed.Inc()
	err := d.noCertificate()
	last := d.loggedAt.Load()
	if now.Unix()-last >= int64(logAgain/time.Second) && d.loggedAt.CompareAndSwap(last, now.Unix()) {
		d.index.opts.Log.Warn("handshakes are refused", "domain", d.source.Domain, "error", err)
	}
	return err
}

func (d *domain) noCertificate() error {
	return fmt.Errorf("there is none yet: want one from %s", d.source.From)
}
