package tdxpki

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// RuntimeEventType is the type of dstack's own events, which extend RTMR3.
const RuntimeEventType = 0x08000001

// ACPIEventType is the type of the firmware's platform configuration events.
const ACPIEventType = 10

// Bytes is bytes that JSON has as lower case hexadecimal.
type Bytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// An Event is one entry of an event log.
type Event struct {
	IMR      uint32 `json:"imr"` // 0…3: which RTMR it extends
	Type     uint32 `json:"event_type"`
	Digest   Bytes  `json:"digest"`
	Name     string `json:"event"` // empty for most boot events
	Payload  Bytes  `json:"event_payload"`
	Version  int    `json:"version,omitempty"`  // 2, or left out
	Preimage Bytes  `json:"preimage,omitempty"` // of version 2
}

// A Log is what was measured into a machine's registers, in order.
type Log []Event

// RuntimeEvent is an event of dstack's with its digest of version 1:
// SHA-384(type, little endian ‖ ":" ‖ name ‖ ":" ‖ payload).
func RuntimeEvent(name string, payload []byte) Event {
	e := Event{IMR: 3, Type: RuntimeEventType, Name: name, Payload: payload}
	b := binary.LittleEndian.AppendUint32(nil, e.Type)
	b = fmt.Appendf(b, ":%s:%s", name, payload)
	e.Digest = digest(b)
	return e
}

// RuntimeEventV2 is an event of dstack's with its digest of version 2: SHA-384
// of the canonical JSON (RFC 8785) of name, payload and type.
func RuntimeEventV2(name string, payload []byte) Event {
	e := Event{IMR: 3, Type: RuntimeEventType, Name: name, Payload: payload, Version: 2}
	e.Preimage = fmt.Appendf(nil, `{"name":%s,"payload":"%x","type":%d}`, canonical(name), payload, e.Type)
	e.Digest = digest(e.Preimage)
	return e
}

// RTMRs replays the log. An event of dstack's that has no digest, as in a
// stripped log, has the one that follows from its name and payload. An event of
// a register that does not exist extends none.
func (l Log) RTMRs() (rtmr [4][48]byte) {
	for _, e := range l {
		d := e.Digest
		if len(d) == 0 && e.Version == 2 {
			d = RuntimeEventV2(e.Name, e.Payload).Digest
		} else if len(d) == 0 {
			d = RuntimeEvent(e.Name, e.Payload).Digest
		}
		if e.IMR < 4 {
			rtmr[e.IMR] = sha512.Sum384(append(rtmr[e.IMR][:], d...))
		}
	}
	return rtmr
}

// Runtime is the log's events of RTMR3.
func (l Log) Runtime() Log {
	var out Log
	for _, e := range l {
		if e.IMR == 3 {
			out = append(out, e)
		}
	}
	return out
}

// Strip leaves of the log what goes into a certificate: the events of RTMR3
// without digests, and the three ACPI events without their payload.
func (l Log) Strip() Log {
	var out Log
	for _, e := range l {
		switch {
		case e.IMR == 3:
			if e.Type == RuntimeEventType {
				e.Digest, e.Preimage = nil, nil
			}
			out = append(out, e)
		case e.IMR == 0 && e.Type == ACPIEventType && strings.HasPrefix(e.Name, "acpi-"):
			e.Payload = Bytes("ACPI DATA")
			out = append(out, e)
		}
	}
	return out
}

// JSON is the log as it travels: an array without white space.
func (l Log) JSON() []byte { return must(json.Marshal(l)) }

// First returns the payload of the first event of a name before system-ready:
// what comes later is the application's word.
func (l Log) First(name string) []byte {
	for _, e := range l.Runtime() {
		switch e.Name {
		case name:
			return e.Payload
		case "system-ready":
			return nil
		}
	}
	return nil
}

func digest(b []byte) Bytes {
	sum := sha512.Sum384(b)
	return sum[:]
}

// canonical writes a string as RFC 8785, 3.2.2.2 has it. encoding/json writes
// U+2028 and U+2029 as escapes, which the RFC does not.
func canonical(s string) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	plain := strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029")
	return []byte(plain.Replace(strings.TrimSuffix(b.String(), "\n")))
}
