package attestation

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// A QuoteAnswer is what dstack's guest agent answers to GetQuote: a quote, and what belongs
// to it. Gateways publish the same JSON beside the keys of their certificates. Nothing in
// it is verified.
//
// In JSON the bytes are in hex, which is read with or without 0x in front, and the members
// have dstack's names: quote, event_log, report_data, vm_config, attestation. Other
// members are ignored.
type QuoteAnswer struct {
	Quote       []byte   // DCAP quote
	EventLog    string   // JSON that ParseEventLog reads; "" without a log
	ReportData  [64]byte // as in the quote
	VMConfig    string   // JSON; "" if it is not known
	Attestation []byte   // attestation that Parse reads; nil from an old agent
}

// ErrNoEvidence refuses an answer that has neither a quote nor an attestation.
var ErrNoEvidence = errors.New("it has neither attestation nor quote")

// quoteAnswer is a QuoteAnswer in JSON.
type quoteAnswer struct {
	Quote       string `json:"quote"`
	EventLog    string `json:"event_log"`
	ReportData  string `json:"report_data"`
	VMConfig    string `json:"vm_config"`
	Attestation string `json:"attestation"`
}

// MarshalJSON returns the JSON of q. It never fails.
func (q QuoteAnswer) MarshalJSON() ([]byte, error) {
	return json.Marshal(quoteAnswer{
		Quote:       hex.EncodeToString(q.Quote),
		EventLog:    q.EventLog,
		ReportData:  hex.EncodeToString(q.ReportData[:]),
		VMConfig:    q.VMConfig,
		Attestation: hex.EncodeToString(q.Attestation),
	})
}

// UnmarshalJSON reads the JSON of an answer. It returns ErrNoEvidence if that has neither
// a quote nor an attestation, and changes q only if it returns nil.
func (q *QuoteAnswer) UnmarshalJSON(b []byte) error {
	var in quoteAnswer
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	out := QuoteAnswer{EventLog: in.EventLog, VMConfig: in.VMConfig}
	var reportData []byte
	for _, m := range []struct {
		name, text string
		bytes      *[]byte
	}{{"quote", in.Quote, &out.Quote}, {"report_data", in.ReportData, &reportData}, {"attestation", in.Attestation, &out.Attestation}} {
		raw, err := hex.DecodeString(strings.TrimPrefix(m.text, "0x"))
		if err != nil {
			return fmt.Errorf("%s: want hex: %w", m.name, err)
		}
		if len(raw) > 0 {
			*m.bytes = raw
		}
	}
	switch {
	case len(reportData) > len(out.ReportData):
		return fmt.Errorf("report_data: %w", tooLong(len(reportData), len(out.ReportData)))
	case out.Quote == nil && out.Attestation == nil:
		return ErrNoEvidence
	}
	copy(out.ReportData[:], reportData)
	*q = out
	return nil
}
