package attestation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// ParseEventLog reads the JSON array of events in legacy certificates and in the answers of
// the guest agent:
//
//	[{"imr":3,"event_type":134217729,"digest":hex,"event":"app-id","event_payload":hex,"version":2}…]
//
// Only imr and event_type are required. Unknown members are ignored: releases add some for
// people, and everything that matters is replayed. ParseEventLog keeps nothing of b, and the
// length of b bounds what it allocates.
func ParseEventLog(b []byte) ([]Event, error) {
	events, err := parseEventLog(b)
	if err != nil {
		return nil, fmt.Errorf("event log: %w", err)
	}
	return events, nil
}

// An eventJSON is one event as it is read.
type eventJSON struct {
	IMR     *uint8  `json:"imr"`
	Type    *uint32 `json:"event_type"`
	Digest  string  `json:"digest"`
	Event   string  `json:"event"`
	Payload string  `json:"event_payload"`
	Version *uint64 `json:"version"`
}

// parseEventLog reads one event at a time: an array of empty objects, of 3 bytes each, would
// otherwise become 30 times its size before any check.
func parseEventLog(b []byte) ([]Event, error) {
	switch {
	case len(b) > MaxSize:
		return nil, tooLong(len(b), MaxSize)
	case !utf8.Valid(b): // encoding/json would put U+FFFD for it
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if first, err := d.Token(); err != nil {
		return nil, err
	} else if first != json.Delim('[') {
		return nil, errors.New("not a JSON array")
	}
	var events []Event
	for d.More() {
		if len(events) == maxEvents {
			return nil, fmt.Errorf("more than %d events", maxEvents)
		}
		var in eventJSON
		err := d.Decode(&in)
		var e Event
		if err == nil {
			e, err = in.event()
		}
		if err != nil {
			return nil, fmt.Errorf("%d: %w", len(events), err)
		}
		events = append(events, e)
	}
	if _, err := d.Token(); err != nil { // the closing bracket
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return events, nil
}

func (in *eventJSON) event() (e Event, err error) {
	if in.IMR == nil || in.Type == nil {
		return Event{}, errors.New("imr or event_type is missing")
	}
	e.IMR, e.Type, e.Name = *in.IMR, *in.Type, in.Event
	if e.Digest, err = decodeHex(in.Digest); err != nil {
		return Event{}, fmt.Errorf("digest: %w", err)
	}
	if e.Payload, err = decodeHex(in.Payload); err != nil {
		return Event{}, fmt.Errorf("event_payload: %w", err)
	}
	if in.Version != nil {
		if e.Format, err = formatOf(*in.Version); err != nil {
			return Event{}, err
		}
	}
	if err := e.check(); err != nil {
		return Event{}, err
	}
	return e, nil
}

func decodeHex(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("not hex")
	}
	return b, nil
}
