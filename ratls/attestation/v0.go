package attestation

import (
	"encoding/binary"
	"fmt"
)

// Version 0, in SCALE:
//
//	u8     0                             version
//	u8     platform                      0: TDX; its data follow:
//	bytes  quote
//	vec    event: u32 imr, u32 type, bytes digest, text name, bytes payload
//	vec    runtime event: text name, bytes payload
//	[64]   report data
//	text   config
//
// It has no format: its events are of FormatV1.
const tagV0 = 0x00

// parseV0 keeps b.
func parseV0(b []byte) (*Attestation, error) {
	r := &scaleReader{b[1:]}
	platform, err := r.octet()
	switch {
	case err != nil:
		return nil, fmt.Errorf("platform: %w", err)
	case int(platform) >= len(platforms):
		return nil, fmt.Errorf("platform %d is not known", platform)
	case platform != platformTDX:
		return nil, &UnsupportedError{platforms[platform].name}
	}
	a := &Attestation{Version: 0}
	if a.Quote, err = r.bytes(maxQuote); err != nil {
		return nil, fmt.Errorf("quote: %w", err)
	}
	if a.Events, err = scaleVec(r, maxEvents, readEventV0); err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	if a.RuntimeEvents, err = scaleVec(r, maxEvents, readRuntimeEventV0); err != nil {
		return nil, fmt.Errorf("runtime events: %w", err)
	}
	reportData, err := r.take(len(a.ReportData))
	if err != nil {
		return nil, fmt.Errorf("report data: %w", err)
	}
	a.ReportData = [64]byte(reportData)
	if a.Config, err = r.text(maxConfig); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if len(r.b) > 0 {
		return nil, errTrailing
	}
	return a, nil
}

func readEventV0(r *scaleReader) (Event, error) {
	var e Event
	imr, err := r.uint32()
	if err != nil {
		return Event{}, err
	}
	if imr > runtimeIMR {
		return Event{}, fmt.Errorf("imr %d, want at most %d", imr, runtimeIMR)
	}
	e.IMR = uint8(imr)
	if e.Type, err = r.uint32(); err != nil {
		return Event{}, err
	}
	if e.Digest, err = r.bytes(maxPayload); err != nil {
		return Event{}, fmt.Errorf("digest: %w", err)
	}
	if e.Name, err = r.text(maxName); err != nil {
		return Event{}, fmt.Errorf("event: %w", err)
	}
	if e.Payload, err = r.bytes(maxPayload); err != nil {
		return Event{}, fmt.Errorf("payload: %w", err)
	}
	return e, e.check()
}

func readRuntimeEventV0(r *scaleReader) (e RuntimeEvent, err error) {
	if e.Name, err = r.text(maxName); err != nil {
		return RuntimeEvent{}, fmt.Errorf("event: %w", err)
	}
	if e.Payload, err = r.bytes(maxPayload); err != nil {
		return RuntimeEvent{}, fmt.Errorf("payload: %w", err)
	}
	return e, nil
}

func (a *Attestation) appendV0(to []byte) []byte {
	to = append(to, tagV0, platformTDX)
	to = appendScale(to, a.Quote)
	to = appendCompact(to, len(a.Events))
	for _, e := range a.Events {
		to = binary.LittleEndian.AppendUint32(to, uint32(e.IMR))
		to = binary.LittleEndian.AppendUint32(to, e.Type)
		to = appendScale(to, e.Digest)
		to = appendScale(to, e.Name)
		to = appendScale(to, e.Payload)
	}
	to = appendCompact(to, len(a.RuntimeEvents))
	for _, e := range a.RuntimeEvents {
		to = appendScale(to, e.Name)
		to = appendScale(to, e.Payload)
	}
	to = append(to, a.ReportData[:]...)
	return appendScale(to, a.Config)
}
