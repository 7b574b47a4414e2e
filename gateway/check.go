package gateway

import (
	"context"

	"sallyport/certs"
	"sallyport/config"
	"sallyport/gateway/appraise"
	"sallyport/gateway/guests"
	"sallyport/gateway/issue"
	"sallyport/internal/oneline"
)

// Check returns what of the configuration would stop New. It reads the files that the configuration names, looks for a quote source if a domain
// needs one, and opens nothing.
func Check(ctx context.Context, cfg *config.Config) error {
	p := cfg.Proxy
	_, err := certs.Open(issue.Sources(cfg.Domains), certs.Options{MinVersion: p.TLSMinVersion, CipherSuites: p.TLS12Ciphers})
	return oneline.Join(err, issue.CheckQuotes(ctx, cfg), issue.Check(cfg), guests.Check(ctx, cfg), appraise.Check(cfg))
}
