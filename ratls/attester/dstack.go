package attester

import (
	"context"
	"fmt"

	"sallyport/internal/dstackagent"
)

// dstack asks the guest agent of this VM.
type dstack struct {
	socket string
	agent  *dstackagent.Client
}

var _ Attester = dstack{}

func newDstack(socket string) dstack { return dstack{socket, dstackagent.New(socket)} }

func (d dstack) String() string { return "dstack guest agent at " + d.socket }

// Attest asks for a quote. Old agents send it without an attestation, which is then
// made of the quote and the event log.
func (d dstack) Attest(ctx context.Context, reportData [64]byte) (Evidence, error) {
	q, err := d.agent.GetQuote(ctx, reportData[:])
	if err != nil {
		return Evidence{}, err
	}
	e, err := Evidence{
		ReportData:  reportData,
		Quote:       q.Quote,
		EventLog:    q.EventLog,
		VMConfig:    q.VMConfig,
		Attestation: q.Attestation,
	}.complete()
	if err != nil {
		return Evidence{}, fmt.Errorf("evidence from the %s: %w", d, err)
	}
	return e, nil
}
