package attestation

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/ratls/internal/msgpack"
)

// Version 1, in MessagePack with names:
//
//	{version: 1, platform: {kind, data}, stack: {kind, data}}
//	platform data of "tdx":       {quote, event_log: [event…]}
//	stack data of "dstack":       {report_data, runtime_events: [runtime event…], config}
//	              "dstack-pod":   the same and report_data_payload
//	event:         {imr, event_type, event, event_payload, digest?, version?, preimage?}
//	runtime event: {event, payload, version?}
//
// Bytes are bin or arrays of integers. The reference requires the digest and the preimage of
// each event of format 2, and then refuses certificates, because stripping removes them. Here
// neither matters: the digest of a runtime event is always computed, and the preimage is
// skipped.
//
// Unknown names are refused. To skip them would be safe today, because everything that
// matters is replayed against the quote. But a future member that changes the meaning of the
// others would be ignored, and skipping needs recursion over hostile data.

var (
	fieldsV1       = []string{"version", "platform", "stack"}
	tagged         = []string{"kind", "data"}
	fieldsTDX      = []string{"quote", "event_log"}
	fieldsStack    = []string{"report_data", "runtime_events", "config", "report_data_payload"}
	fieldsEvent    = []string{"imr", "event_type", "event", "event_payload", "digest", "version", "preimage"}
	fieldsRuntime  = []string{"event", "payload", "version"}
	stackKinds     = [...]string{StackDstack: "dstack", StackPod: "dstack-pod"}
	requiredStack  = [...]int{StackDstack: 3, StackPod: 4}
	errKindBehind  = errors.New("kind must come before data")
	errPodlessData = errors.New("allowed only for a pod")
)

const (
	requiredEvent   = 4
	requiredRuntime = 2
	maxKind         = 32
	maxPreimage     = 2 * (maxPayload + 6*maxName + 64) // in hex
)

// isV1 reports whether a value that begins with first is a map.
func isV1(first byte) bool {
	return first&0xf0 == msgpack.FixMap || first == msgpack.Map16 || first == msgpack.Map32
}

func parseV1(b []byte) (*Attestation, error) {
	r := msgpack.NewReader(b)
	a := &Attestation{Version: 1}
	err := r.Struct(fieldsV1, len(fieldsV1), func(i int) error {
		switch fieldsV1[i] {
		case "version":
			v, err := r.Uint(1)
			if err == nil && v != 1 {
				err = fmt.Errorf("%d, want 1", v)
			}
			return err
		case "platform":
			return readTagged(r, checkPlatform, func(string) error { return a.readTDX(r) })
		default:
			return readTagged(r, checkStack, func(kind string) error { return a.readStack(r, kind) })
		}
	})
	if err == nil {
		err = r.End()
	}
	if err == nil {
		err = a.checkPod()
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// readTagged reads {kind, data}. The kind determines how data is read.
func readTagged(r *msgpack.Reader, check func(kind string) error, data func(kind string) error) error {
	var kind string
	return r.Struct(tagged, len(tagged), func(i int) (err error) {
		switch {
		case tagged[i] == "kind":
			if kind, err = r.Text(maxKind); err != nil {
				return err
			}
			return check(kind)
		case kind == "":
			return errKindBehind
		}
		return data(kind)
	})
}

func checkPlatform(kind string) error {
	for i, p := range platforms {
		switch {
		case p.kind != kind:
		case i == platformTDX:
			return nil
		default:
			return &UnsupportedError{p.name}
		}
	}
	return fmt.Errorf("%q is not known", kind)
}

func checkStack(kind string) error {
	if !slices.Contains(stackKinds[:], kind) {
		return fmt.Errorf("%q is not known", kind)
	}
	return nil
}

func (a *Attestation) readTDX(r *msgpack.Reader) error {
	return r.Struct(fieldsTDX, len(fieldsTDX), func(i int) (err error) {
		switch fieldsTDX[i] {
		case "quote":
			a.Quote, err = r.Bytes(maxQuote)
		case "event_log":
			a.Events, err = readArray(r, readEventV1)
		}
		return err
	})
}

func (a *Attestation) readStack(r *msgpack.Reader, kind string) error {
	a.Stack = Stack(slices.Index(stackKinds[:], kind))
	return r.Struct(fieldsStack, requiredStack[a.Stack], func(i int) (err error) {
		switch fieldsStack[i] {
		case "report_data":
			var b []byte
			if b, err = r.Bytes(len(a.ReportData)); err == nil && copy(a.ReportData[:], b) != len(a.ReportData) {
				err = fmt.Errorf("%d bytes, want %d", len(b), len(a.ReportData))
			}
		case "runtime_events":
			a.RuntimeEvents, err = readArray(r, readRuntimeEventV1)
		case "config":
			a.Config, err = r.Text(maxConfig)
		case "report_data_payload":
			if a.Stack != StackPod {
				return errPodlessData
			}
			a.PodPayload, err = r.Text(maxPayload)
		}
		return err
	})
}

// readArray reads an array of at most maxEvents items. Its memory grows with the items that
// were read: an item of 17 bytes becomes one of 48.
func readArray[T any](r *msgpack.Reader, item func(*msgpack.Reader) (T, error)) ([]T, error) {
	n, err := r.Array()
	if err != nil {
		return nil, err
	}
	if n > maxEvents {
		return nil, fmt.Errorf("%d items, want at most %d", n, maxEvents)
	}
	var out []T
	for i := range n {
		v, err := item(r)
		if err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
		out = append(out, v)
	}
	return out, nil
}

func readEventV1(r *msgpack.Reader) (Event, error) {
	var e Event
	err := r.Struct(fieldsEvent, requiredEvent, func(i int) (err error) {
		var v uint64
		switch fieldsEvent[i] {
		case "imr":
			v, err = r.Uint(runtimeIMR)
			e.IMR = uint8(v)
		case "event_type":
			v, err = r.Uint(1<<32 - 1)
			e.Type = uint32(v)
		case "event":
			e.Name, err = r.Text(maxName)
		case "event_payload":
			e.Payload, err = r.Bytes(maxPayload)
		case "digest":
			e.Digest, err = r.Bytes(maxPayload)
		case "version":
			e.Format, err = readFormat(r)
		case "preimage":
			if !r.Nil() {
				_, err = r.Text(maxPreimage)
			}
		}
		return err
	})
	if err == nil {
		err = e.check()
	}
	return e, err
}

func readRuntimeEventV1(r *msgpack.Reader) (RuntimeEvent, error) {
	var e RuntimeEvent
	err := r.Struct(fieldsRuntime, requiredRuntime, func(i int) (err error) {
		switch fieldsRuntime[i] {
		case "event":
			e.Name, err = r.Text(maxName)
		case "payload":
			e.Payload, err = r.Bytes(maxPayload)
		case "version":
			e.Format, err = readFormat(r)
		}
		return err
	})
	return e, err
}

func readFormat(r *msgpack.Reader) (Format, error) {
	if r.Nil() {
		return FormatV1, nil
	}
	v, err := r.Uint(1<<32 - 1)
	if err != nil {
		return 0, err
	}
	return formatOf(v)
}

// formatOf is the format that the wire calls version v.
func formatOf(v uint64) (Format, error) {
	switch v {
	case 1:
		return FormatV1, nil
	case 2:
		return FormatV2, nil
	}
	return 0, fmt.Errorf("version %d, want 1 or 2", v)
}
