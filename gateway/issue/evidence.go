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

// Evidence for keys whose certificates come from an authority: the quote source of this CVM is
// asked once for each key. Its evidence is stored and published (published.go) in dstack's
// form, so that a client that sees the certificate can verify that its key was made in
// this CVM.

// maxKeyEvidence bounds the evidence of one key in bytes, as JSON: it is stored with
// the key's record, in a value of at most 200 KiB, and published with up to 63 others.
// The evidence of a dstack CVM has about 60 kB.
const maxKeyEvidence = 128 << 10

// attestTimeout is for one quote; the kernel may wait 30 s for the host, more than once.
const attestTimeout = 2 * time.Minute

// newAttest returns an acme.Options.Attest that asks the quote source of this CVM. It returns
// nil where there is none: certificates do not need evidence. A source that does not work is
// an error.
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

// keyAttester makes evidence of keys and accounts.
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

// keyEvidence returns evidence in the published form: two texts, each of them JSON.
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
