package attester

import (
	"context"
	"encoding/json"
	"fmt"

	"sallyport/internal/dstackagent"
	"sallyport/ratls/attestation"
)

// dstack asks the guest agent of this CVM.
type dstack struct {
	socket string
	agent  *dstackagent.Client
}

var _ Attester = dstack{}

func newDstack(socket string) dstack { return dstack{socket, dstackagent.New(socket)} }

func (d dstack) String() string { return "dstack guest agent at " + d.socket }

// Attest asks for a quote. Old agents answer without an attestation: then Attest makes it of
// the quote and the event log.
func (d dstack) Attest(ctx context.Context, reportData [64]byte) (attestation.QuoteAnswer, error) {
	question := struct {
		ReportData dstackagent.Hex `json:"report_data"`
	}{reportData[:]}
	var answer json.RawMessage
	if err := d.agent.Call(ctx, "GetQuote", question, &answer); err != nil {
		return attestation.QuoteAnswer{}, err
	}
	var q attestation.QuoteAnswer
	err := json.Unmarshal(answer, &q)
	if err == nil {
		q, err = complete(q, reportData)
	}
	if err != nil {
		return attestation.QuoteAnswer{}, fmt.Errorf("evidence from the %s: %w", d, err)
	}
	return q, nil
}
