package issue

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/acme"
	"sallyport/config"
	"sallyport/ratls/attestation"
	"sallyport/ratls/attester"
)

// Evidence for keys whose certificates come from an authority: what quotes on this machine
// is asked once per key, and what it says is kept and published as dstack publishes it, so
// that whoever sees the certificate can find out that its key was made in here. How it is
// published: published.go.

// maxKeyEvidence bounds the evidence of one key in bytes, as JSON: it is stored with
// the key's record, in a value of at most 200 KiB, and published with up to 63 others.
// That of a dstack machine has some 60 kB.
const maxKeyEvidence = 128 << 10

// attestTimeout is for one quote; the kernel may wait 30 s for the host, more than once.
const attestTimeout = 2 * time.Minute

// newAttest makes an acme.Options.Attest of what quotes on this machine. It is nil
// where nothing does: certificates are had without evidence too. A source that is there
// and does not work is an error.
func newAttest(ctx context.Context, cfg *config.Config, log *slog.Logger) (attestFunc, error) {
	source, err := attester.Find(ctx, attester.Options{DstackSocket: cfg.RPC.DstackAgent})
	if errors.Is(err, attester.ErrNoSource) {
		log.Info("keys of certificates get no evidence: it takes a confidential VM, with the guest agent's socket in [rpc] dstack_agent or /var/run/dstack.sock, or with the kernel's reports", "reason", err)
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("[acme] evidence of keys: %w", err)
	}
	log.Info("quoting for keys of certificates", "source", source.String())
	return keyAttester{source}.attest, nil
}

// keyAttester asks source.
type keyAttester struct{ source attester.Attester }

func (k keyAttester) attest(ctx context.Context, s acme.Subject) (acme.Evidence, error) {
	tag := attestation.Tag(s.Kind)
	if tag != attestation.TagZTCert && tag != attestation.TagACMEAccount { // a quote for another would speak for that
		return acme.Evidence{}, fmt.Errorf("cannot make evidence of a %q", s.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, attestTimeout)
	defer cancel()
	e, err := k.source.Attest(ctx, attestation.ReportData(tag, s.Data))
	if err != nil {
		return acme.Evidence{}, err
	}
	return keyEvidence(e)
}

// keyEvidence writes evidence as it is published: two texts, which are JSON again.
func keyEvidence(q attestation.QuoteAnswer) (acme.Evidence, error) {
	quote, err := json.Marshal(q)
	if err != nil {
		return acme.Evidence{}, err
	}
	out := acme.Evidence{Quote: string(quote), Attestation: `{"attestation":"` + hex.EncodeToString(q.Attestation) + `"}`}
	stored, err := json.Marshal(out)
	if err == nil && len(stored) > maxKeyEvidence {
		err = fmt.Errorf("the evidence of a key has %d bytes, more than %d; check the length of the event log", len(stored), maxKeyEvidence)
	}
	if err != nil {
		return acme.Evidence{}, err
	}
	return out, nil
}
