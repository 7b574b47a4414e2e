package tdxpki

import (
	"crypto/sha512"
	"encoding/binary"
)

// ReportData is what a quote binds: SHA-512(tag ‖ ":" ‖ content).
func ReportData(tag string, content []byte) [64]byte {
	return sha512.Sum512(append([]byte(tag+":"), content...))
}

// An Attestation is a TDX machine's evidence as dstack packs it.
type Attestation struct {
	Quote      []byte
	Log        Log // what is reported of it
	Runtime    Log // dstack's events once more: Log.Runtime() in an honest one
	ReportData [64]byte
	Config     string // JSON
}

// Strip leaves what goes into a certificate.
func (a Attestation) Strip() Attestation {
	a.Log = a.Log.Strip()
	return a
}

// V0 packs it in SCALE, as dstack does unless an event is of version 2.
func (a Attestation) V0() []byte {
	b := []byte{0, 0} // version, platform: TDX
	b = scaleBytes(b, a.Quote)
	b = scaleCompact(b, len(a.Log))
	for _, e := range a.Log {
		b = binary.LittleEndian.AppendUint32(b, e.IMR)
		b = binary.LittleEndian.AppendUint32(b, e.Type)
		b = scaleBytes(b, e.Digest)
		b = scaleBytes(b, []byte(e.Name))
		b = scaleBytes(b, e.Payload)
	}
	b = scaleCompact(b, len(a.Runtime))
	for _, e := range a.Runtime {
		b = scaleBytes(b, []byte(e.Name))
		b = scaleBytes(b, e.Payload)
	}
	b = append(b, a.ReportData[:]...)
	return scaleBytes(b, []byte(a.Config))
}

// V1 packs it in MessagePack, with quote and report data as arrays of numbers:
// dstack's way.
func (a Attestation) V1() []byte { return a.v1(appendNumbers) }

// V1Bin packs it in MessagePack with all bytes as bin.
func (a Attestation) V1Bin() []byte { return a.v1(appendBin) }

func (a Attestation) v1(plain func(b, data []byte) []byte) []byte {
	b := appendMap(nil, 3)
	b = appendUint(appendString(b, "version"), 1)

	b = appendMap(appendString(b, "platform"), 2)
	b = appendString(appendString(b, "kind"), "tdx")
	b = appendMap(appendString(b, "data"), 2)
	b = plain(appendString(b, "quote"), a.Quote)
	b = appendArray(appendString(b, "event_log"), len(a.Log))
	for _, e := range a.Log {
		b = e.appendTDX(b)
	}

	b = appendMap(appendString(b, "stack"), 2)
	b = appendString(appendString(b, "kind"), "dstack")
	b = appendMap(appendString(b, "data"), 3)
	b = plain(appendString(b, "report_data"), a.ReportData[:])
	b = appendArray(appendString(b, "runtime_events"), len(a.Runtime))
	for _, e := range a.Runtime {
		b = e.appendRuntime(b)
	}
	return appendString(appendString(b, "config"), a.Config)
}

func (e Event) appendTDX(b []byte) []byte {
	members := 5
	if e.Version != 0 {
		members++
	}
	if e.Preimage != nil {
		members++
	}
	b = appendMap(b, members)
	b = appendUint(appendString(b, "imr"), e.IMR)
	b = appendUint(appendString(b, "event_type"), e.Type)
	b = appendBin(appendString(b, "digest"), e.Digest)
	b = appendString(appendString(b, "event"), e.Name)
	b = appendBin(appendString(b, "event_payload"), e.Payload)
	if e.Version != 0 {
		b = appendUint(appendString(b, "version"), uint32(e.Version))
	}
	if e.Preimage != nil {
		b = appendString(appendString(b, "preimage"), string(must(e.Preimage.MarshalText())))
	}
	return b
}

func (e Event) appendRuntime(b []byte) []byte {
	members := 2
	if e.Version != 0 {
		members++
	}
	b = appendMap(b, members)
	b = appendString(appendString(b, "event"), e.Name)
	b = appendBin(appendString(b, "payload"), e.Payload)
	if e.Version != 0 {
		b = appendUint(appendString(b, "version"), uint32(e.Version))
	}
	return b
}

// scaleCompact writes a length as parity-scale-codec does: the low two bits of
// the first byte say how many bytes it takes.
func scaleCompact(b []byte, n int) []byte {
	switch {
	case n < 1<<6:
		return append(b, byte(n)<<2)
	case n < 1<<14:
		return binary.LittleEndian.AppendUint16(b, uint16(n)<<2|1)
	case n < 1<<30:
		return binary.LittleEndian.AppendUint32(b, uint32(n)<<2|2)
	}
	return binary.LittleEndian.AppendUint32(append(b, 3), uint32(n))
}

func scaleBytes(b, data []byte) []byte { return append(scaleCompact(b, len(data)), data...) }
