package issue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"sallyport/config"
	"sallyport/ratls"
	"sallyport/ratls/attestation"
	"sallyport/ratls/attester"
)

// Domains with ratls = true: the gateway makes their certificates itself, with evidence
// of its own in them, and no authority is asked. Keys are in memory only: the disk of the
// machine holds none that could be read later, and a restart makes new ones.
//
// An operator who asks for fresh evidence of others, by [attestation] max_age, shows as
// fresh his own.

// OpenOwn makes the first certificate of each such domain, makes it the one that is served
// by set, and returns what renews them; nil where no domain needs that.
func OpenOwn(ctx context.Context, cfg *config.Config, set func(domain string, cert *tls.Certificate) error, log *slog.Logger) (*ratls.Renewer, error) {
	source, err := quoteSource(ctx, cfg)
	if source == nil || err != nil {
		return nil, err
	}
	r := ratls.NewRenewer(cfg.Attestation.MaxAge)
	r.Set, r.Log = set, log
	r.Attest = func(ctx context.Context, reportData [64]byte) ([]byte, error) {
		e, err := source.Attest(ctx, reportData)
		return e.Attestation, err
	}
	own := slices.DeleteFunc(slices.Clone(cfg.Domains), func(d config.Domain) bool { return !d.RATLS })
	log.Info("quoting for certificates", "source", source.String(), "domains", len(own), "renewal", r.Renewal.String())
	for _, d := range own {
		cert, err := r.Add(ctx, d.Name)
		if err != nil {
			return nil, fmt.Errorf("[[domain]] %s: ratls: %w", d.Name, err)
		}
		if !namesApp(cert) {
			log.Warn("the evidence of this machine has no event log: only clients that know its measurements can use it", "domain", d.Name)
		}
	}
	return r, nil
}

// CheckQuotes returns why nothing on this machine quotes, if a domain needs that.
func CheckQuotes(ctx context.Context, cfg *config.Config) error {
	_, err := quoteSource(ctx, cfg)
	return err
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

// namesApp reports whether the evidence in cert can name an app: the kernel's has a quote
// alone.
func namesApp(cert *tls.Certificate) bool {
	e, err := ratls.EvidenceOf(cert.Leaf)
	if err != nil {
		return false
	}
	a, err := attestation.Parse(e.Attestation)
	return err == nil && len(a.RuntimeEvents.Payload(attestation.EventAppID)) > 0
}
