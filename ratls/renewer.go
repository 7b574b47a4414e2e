package ratls

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"sallyport/internal/backoff"
)

// The age of a certificate with evidence. Evidence does not expire by itself: the verifier
// fetches what Intel publishes about a platform (TCB info and revocations, valid for 30
// days). But it describes the past: the firmware at the time of the quote, and a key that
// may have been stolen since. So a certificate is renewed at the age of 12 hours and ends at
// 24, both counted from its NotBefore as in Policy.MaxAge. A verifier that requires evidence
// of at most a day never refuses, and a quote source that fails has half a day to recover.
// For a shorter Policy.MaxAge, down to 10 minutes, it is renewed earlier.
const (
	renewal        = 12 * time.Hour
	minRenewal     = 2 * backdate // what a quote costs must not add up
	lifeInRenewals = 2
	backdate       = 5 * time.Minute // age of a new certificate: for clocks that are behind

	makeTimeout  = 2 * time.Minute // one quote; the kernel may wait 30 s for the host, more than once
	renewalLook  = time.Minute
	firstBackoff = time.Minute
	lastBackoff  = 30 * time.Minute
)

// Renewer makes certificates with evidence of the CVM that it runs in, and renews them in
// time. Its methods must not be called concurrently.
type Renewer struct {
	// Attest returns evidence of this CVM.
	Attest AttestFunc
	// Set serves a certificate for a domain from now on.
	Set func(domain string, cert *tls.Certificate) error
	// Renewal is the age at which a certificate is replaced, and Life the age at which it
	// ends. NewRenewer sets both.
	Renewal, Life time.Duration
	// Look is how often Run looks at ages; 0 is a minute.
	Look time.Duration
	// Log gets a warning when a certificate was not renewed.
	Log *slog.Logger

	kept []*keptCertificate
}

// keptCertificate is one domain and the dates of what it serves.
type keptCertificate struct {
	domain       string
	begins, ends time.Time
	failures     int // in a row
	retry        time.Time
}

// NewRenewer returns a Renewer for verifiers that require evidence of at most maxAge; 0 is
// any age. The caller must set Attest, Set and Log.
func NewRenewer(maxAge time.Duration) *Renewer {
	age := renewalFor(maxAge)
	return &Renewer{Renewal: age, Life: lifeInRenewals * age}
}

// renewalFor returns the age at which evidence is renewed, well before maxAge.
func renewalFor(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		return renewal
	}
	return max(minRenewal, min(renewal, maxAge/lifeInRenewals))
}

// Add makes the first certificate for a domain and the names one level below it, calls Set,
// and returns the certificate. Run renews it.
func (r *Renewer) Add(ctx context.Context, domain string) (*tls.Certificate, error) {
	k := &keptCertificate{domain: domain}
	cert, err := r.make(ctx, k)
	if err != nil {
		return nil, err
	}
	r.kept = append(r.kept, k)
	return cert, nil
}

// Run renews certificates until ctx ends. It always returns nil.
func (r *Renewer) Run(ctx context.Context) error {
	look := r.Look
	if look == 0 {
		look = renewalLook
	}
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			r.renew(ctx)
		}
	}
}

// renew makes the certificates that are due. After an error the current one stays.
func (r *Renewer) renew(ctx context.Context) {
	for _, k := range r.kept {
		if !k.due(time.Now(), r.Renewal) {
			continue
		}
		_, err := r.make(ctx, k)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			k.failures++
			wait := backoff.Double(firstBackoff, lastBackoff, k.failures)
			k.retry = time.Now().Add(wait)
			r.Log.Warn("cannot renew the certificate; the current one stays in use", "domain", k.domain, "not_after", k.ends,
				"failures", k.failures, "next_try", wait.String(), "error", err)
		default:
			k.failures, k.retry = 0, time.Time{}
		}
	}
}

// make makes a certificate and calls Set.
func (r *Renewer) make(ctx context.Context, k *keptCertificate) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, makeTimeout)
	defer cancel()
	cert, err := NewCertificate(ctx, r.Attest, []string{"*." + k.domain, k.domain}, r.Life-backdate)
	if err != nil {
		return nil, err
	}
	if err := r.Set(k.domain, &cert); err != nil {
		return nil, err
	}
	k.begins, k.ends = cert.Leaf.NotBefore, cert.Leaf.NotAfter
	return &cert, nil
}

// due uses the wall clock, as clients do: it may have been set, or the CVM suspended. The
// pause after a failure uses the monotonic clock.
func (k *keptCertificate) due(now time.Time, renewal time.Duration) bool {
	if now.Before(k.retry) {
		return false
	}
	return now.Before(k.begins) || !now.Before(k.begins.Add(renewal))
}
