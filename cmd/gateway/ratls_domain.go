package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/config"
	"sallyport/ratls"
	"sallyport/ratls/attestation"
	"sallyport/ratls/attester"
)

// Domains with ratls = true: the gateway makes their certificates itself, with evidence
// of its own in them, and no authority is asked. Keys are in memory only: whoever reads
// the disk of the machine later has none, and a restart makes new ones.
//
// How old a certificate may grow. Evidence has no end of its own. What Intel publishes
// about a platform (TCB info, revocations, good for 30 days) is the verifier's to fetch,
// and is not in it. But it speaks of the past: of the firmware that ran when it was
// asked for, and of a key that may have been stolen since. So it is renewed at the age of
// 12 hours and ends at 24, both counted from its beginning as ratls.Policy.MaxAge is. A
// verifier that wants evidence of at most a day never refuses, and a quote source that
// fails has half a day to come back. An operator who asks for fresher evidence of others,
// by [attestation] max_age, shows as fresh his own, down to 10 minutes.
const (
	ratlsRenewal   = 12 * time.Hour
	minRenewal     = 2 * backdate // what a quote costs must not add up
	lifeInRenewals = 2
	backdate       = 5 * time.Minute // age of a new certificate: for clocks that are behind

	attestTimeout = 2 * time.Minute // one quote; the kernel may wait 30 s for the host, more than once
	renewalLook   = time.Minute
	firstBackoff  = time.Minute
	lastBackoff   = 30 * time.Minute
)

// ratlsDomains keeps their certificates. Once run, it is run's alone.
type ratlsDomains struct {
	domains []*ratlsDomain
	attest  ratls.AttestFunc
	set     func(domain string, cert *tls.Certificate) error // makes it the one that is served
	renewal time.Duration                                    // age at which a certificate is replaced
	life    time.Duration                                    // age at which it ends
	look    time.Duration                                    // how often run looks at ages
	log     *slog.Logger
}

// ratlsDomain is one domain and the dates of what it serves.
type ratlsDomain struct {
	name         string
	begins, ends time.Time
	failures     int // in a row
	retry        time.Time
}

// newRATLSDomains finds what quotes on this machine. It is nil where no domain needs that.
func newRATLSDomains(ctx context.Context, cfg *config.Config, set func(string, *tls.Certificate) error, log *slog.Logger) (*ratlsDomains, error) {
	source, err := quoteSource(ctx, cfg)
	if source == nil || err != nil {
		return nil, err
	}
	renewal := renewalFor(cfg.Attestation.MaxAge)
	r := &ratlsDomains{set: set, renewal: renewal, life: lifeInRenewals * renewal, look: renewalLook, log: log}
	r.attest = func(ctx context.Context, reportData [64]byte) ([]byte, error) {
		e, err := source.Attest(ctx, reportData)
		return e.Attestation, err
	}
	for _, d := range cfg.Domains {
		if d.RATLS {
			r.domains = append(r.domains, &ratlsDomain{name: d.Name})
		}
	}
	log.Info("quoting for certificates", "source", source.String(), "domains", len(r.domains), "renewal", r.renewal.String())
	return r, nil
}

// quoteSource is what quotes on this machine, nil if no domain needs it.
func quoteSource(ctx context.Context, cfg *config.Config) (attester.Attester, error) {
	for _, d := range cfg.Domains {
		if !d.RATLS {
			continue
		}
		source, err := attester.Find(ctx, attester.Options{DstackSocket: cfg.RPC.DstackAgent})
		if errors.Is(err, attester.ErrNoSource) {
			return nil, fmt.Errorf("[[domain]] %s: ratls needs a confidential VM: %w; mount the guest agent's socket, or give cert and key", d.Name, err)
		}
		if err != nil {
			return nil, fmt.Errorf("[[domain]] %s: ratls: %w", d.Name, err)
		}
		return source, nil
	}
	return nil, nil
}

// renewalFor is the age at which evidence is renewed: well before it is maxAge old.
func renewalFor(maxAge time.Duration) time.Duration {
	if maxAge == 0 {
		return ratlsRenewal
	}
	return max(minRenewal, min(ratlsRenewal, maxAge/lifeInRenewals))
}

// open makes the first certificate of each domain.
func (r *ratlsDomains) open(ctx context.Context) error {
	for _, d := range r.domains {
		leaf, err := r.make(ctx, d)
		if err != nil {
			return fmt.Errorf("[[domain]] %s: ratls: %w", d.name, err)
		}
		if !namesApp(leaf) {
			r.log.Warn("the evidence of this machine has no event log: only clients that know its measurements can use it", "domain", d.name)
		}
	}
	return nil
}

// namesApp reports whether the evidence in cert can tell an app: the kernel's has a quote
// alone.
func namesApp(cert *tls.Certificate) bool {
	e, err := ratls.EvidenceOf(cert.Leaf)
	if err != nil {
		return false
	}
	a, err := attestation.Parse(e.Attestation)
	return err == nil && len(a.RuntimeEvents.Payload(attestation.EventAppID)) > 0
}

// run renews until ctx is done.
func (r *ratlsDomains) run(ctx context.Context) error {
	tick := time.NewTicker(r.look)
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

// renew makes the certificates that are due. One that cannot be made leaves the old one
// in place.
func (r *ratlsDomains) renew(ctx context.Context) {
	for _, d := range r.domains {
		if !d.due(time.Now(), r.renewal) {
			continue
		}
		_, err := r.make(ctx, d)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.failures++
			wait := backoff(d.failures)
			d.retry = time.Now().Add(wait)
			r.log.Warn("certificate not renewed, the old one stays", "domain", d.name, "not_after", d.ends,
				"failures", d.failures, "next_try", wait.String(), "error", err)
		default:
			d.failures, d.retry = 0, time.Time{}
		}
	}
}

// make makes a certificate and has it served.
func (r *ratlsDomains) make(ctx context.Context, d *ratlsDomain) (*tls.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, attestTimeout)
	defer cancel()
	cert, err := ratls.NewCertificate(ctx, r.attest, []string{"*." + d.name, d.name}, r.life-backdate)
	if err != nil {
		return nil, err
	}
	if err := r.set(d.name, &cert); err != nil {
		return nil, err
	}
	d.begins, d.ends = cert.Leaf.NotBefore, cert.Leaf.NotAfter
	return &cert, nil
}

// due goes by the clock on the wall, as clients do: it may have been set, or the machine
// asleep. The pause after a failure does not.
func (d *ratlsDomain) due(now time.Time, renewal time.Duration) bool {
	if now.Before(d.retry) {
		return false
	}
	return now.Before(d.begins) || !now.Before(d.begins.Add(renewal))
}

// backoff is the pause after so many failures in a row.
func backoff(failures int) time.Duration {
	wait := firstBackoff
	for range failures - 1 {
		if wait *= 2; wait >= lastBackoff {
			return lastBackoff
		}
	}
	return wait
}
