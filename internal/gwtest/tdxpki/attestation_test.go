package tdxpki

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestCompactLengthsAreThoseOfTheVectors(t *testing.T) {
	for _, v := range readVectors(t).Compact {
		if got := fmt.Sprintf("%x", scaleCompact(nil, int(v[0].(float64)))); got != v[1] {
			t.Errorf("%v is %s, want %s", v[0], got, v[1])
		}
	}
}

func TestRealV0AttestationIsReproduced(t *testing.T) {
	a := realAttestation(t)
	if got, want := a.V0(), fixture(t, "dstack/guest-agent-attestation.bin"); !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from the real %d", len(got), len(want))
	}
}

// realAttestation is put together of the parts that lie beside the real one.
func realAttestation(t *testing.T) Attestation {
	t.Helper()
	var parts struct {
		ReportData    Bytes  `json:"report_data"`
		Config        string `json:"config"`
		RuntimeEvents []struct {
			Event   string
			Payload Bytes
		} `json:"runtime_events"`
	}
	readJSON(t, fixture(t, "derived/guest-agent.decoded.json"), &parts)
	a := Attestation{
		Quote: fixture(t, "derived/guest-agent.quote.bin"), ReportData: [64]byte(parts.ReportData), Config: parts.Config,
	}
	readJSON(t, fixture(t, "derived/guest-agent.event_log.json"), &a.Log)
	for _, e := range parts.RuntimeEvents {
		a.Runtime = append(a.Runtime, RuntimeEvent(e.Event, e.Payload))
	}
	return a
}

// numbers is an array of integers below 256, as told from bin.
type numbers []byte

func TestV1NamesItsFields(t *testing.T) {
	e1, e2 := RuntimeEvent("app-id", []byte{0x80}), RuntimeEventV2("compose-hash", []byte{1, 2})
	a := Attestation{Quote: []byte{1, 0x7f, 0x80, 0xff}, Log: Log{e1, e2}, Runtime: Log{e1, e2}, Config: strings.Repeat("c", 300)}
	events := []any{
		map[string]any{"imr": 3, "event_type": RuntimeEventType, "digest": []byte(e1.Digest), "event": "app-id", "event_payload": []byte{0x80}},
		map[string]any{
			"imr": 3, "event_type": RuntimeEventType, "digest": []byte(e2.Digest), "event": "compose-hash", "event_payload": []byte{1, 2},
			"version": 2, "preimage": fmt.Sprintf("%x", e2.Preimage),
		},
	}
	runtime := []any{
		map[string]any{"event": "app-id", "payload": []byte{0x80}},
		map[string]any{"event": "compose-hash", "payload": []byte{1, 2}, "version": 2},
	}
	want := func(quote, reportData any) any {
		return map[string]any{
			"version":  1,
			"platform": map[string]any{"kind": "tdx", "data": map[string]any{"quote": quote, "event_log": events}},
			"stack": map[string]any{"kind": "dstack", "data": map[string]any{
				"report_data": reportData, "runtime_events": runtime, "config": a.Config,
			}},
		}
	}
	d := &decoder{a.V1()}
	if got := d.value(t); !reflect.DeepEqual(got, want(numbers(a.Quote), numbers(a.ReportData[:]))) || len(d.rest) > 0 {
		t.Errorf("numbers: %v", got)
	}
	d = &decoder{a.V1Bin()}
	if got := d.value(t); !reflect.DeepEqual(got, want(a.Quote, a.ReportData[:])) || len(d.rest) > 0 {
		t.Errorf("bin: %v", got)
	}
}

// A decoder reads MessagePack by its specification, as far as the test needs it.
type decoder struct{ rest []byte }

func (d *decoder) take(n int) []byte {
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out
}

func (d *decoder) number(size int) int {
	var b [4]byte
	copy(b[4-size:], d.take(size))
	return int(binary.BigEndian.Uint32(b[:]))
}

func (d *decoder) value(t *testing.T) any {
	t.Helper()
	switch head := int(d.take(1)[0]); {
	case head < 0x80:
		return head
	case head < 0x90:
		m := map[string]any{}
		for range head & 0xf {
			name := d.value(t).(string)
			m[name] = d.value(t)
		}
		return m
	case head < 0xa0:
		return d.array(t, head&0xf)
	case head < 0xc0:
		return string(d.take(head & 0x1f))
	case head >= 0xc4 && head <= 0xc6:
		return d.take(d.number(1 << (head - 0xc4)))
	case head >= 0xcc && head <= 0xce:
		return d.number(1 << (head - 0xcc))
	case head >= 0xd9 && head <= 0xdb:
		return string(d.take(d.number(1 << (head - 0xd9))))
	case head >= 0xdc && head <= 0xdd:
		return d.array(t, d.number(2<<(head-0xdc)))
	default:
		t.Fatalf("head %x", head)
		return nil
	}
}

func (d *decoder) array(t *testing.T, n int) any {
	var all []any
	var flat numbers
	for range n {
		v := d.value(t)
		all = append(all, v)
		if number, ok := v.(int); ok && number < 256 {
			flat = append(flat, byte(number))
		}
	}
	if len(flat) == n {
		return flat
	}
	return all
}
