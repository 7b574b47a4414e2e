package attestation

import (
	"errors"
	"fmt"
)

// MaxSize bounds an attestation for Parse, in bytes.
const MaxSize = 10 << 20

// Bounds of the parts, in bytes. Real quotes have 5 kB, logs 30 to 40 events, configurations
// 1 kB.
const (
	maxQuote  = 64 << 10
	maxConfig = 64 << 10
)

// An Attestation is evidence of one CVM, as it was received. Nothing in it is verified: verify
// the quote before using anything else.
type Attestation struct {
	// Version is the wire form: 0 (SCALE) or 1 (MessagePack). Only version 1 can have
	// events of FormatV2 and the payload of a pod.
	Version int
	// Quote is a DCAP quote of Intel TDX.
	Quote []byte
	// Events is the platform's event log: what firmware and kernel measured into RTMR0
	// to RTMR2, and copies of the events of RTMR3. It may be stripped to a few events.
	// The copies are for people who read the log. No function of this package uses them,
	// and they may differ from RuntimeEvents.
	Events []Event
	// RuntimeEvents are all events that were measured into RTMR3, in order.
	RuntimeEvents RuntimeLog
	// ReportData is a copy of the report data in the quote. It may differ: compare them.
	ReportData [64]byte
	// Config is JSON about the virtual machine, from its host. No measurement covers it.
	// It may be "".
	Config string
	// Stack is the software that requested the quote. PodPayload is what a pod bound to
	// it: Parse checks that ReportData is ReportData(TagAppData, PodPayload).
	Stack      Stack
	PodPayload string
}

// A Stack is the kind of software in a CVM.
type Stack uint8

// The stacks. Only StackDstack exists in version 0.
const (
	StackDstack Stack = iota
	StackPod          // "dstack-pod"
)

// ErrPodPayload refuses the attestation of a pod whose report data does not bind its
// payload.
var ErrPodPayload = errors.New("report data is not that of the pod's payload")

// An UnsupportedError refuses evidence of known hardware that this package cannot read.
type UnsupportedError struct {
	Platform string // the usual name, such as "AMD SEV-SNP"
}

func (e *UnsupportedError) Error() string {
	return e.Platform + " evidence is not supported yet, only Intel TDX"
}

// The platforms in the order of their numbers in version 0, with their names in
// version 1.
var platforms = [...]struct{ kind, name string }{
	{"tdx", "Intel TDX"},
	{"gcp-tdx", "GCP TDX"},
	{"nitro-enclave", "AWS Nitro enclave"},
	{"sev-snp", "AMD SEV-SNP"},
	{"aws-nitro-tpm", "AWS NitroTPM"},
}

const platformTDX = 0

// Parse reads an attestation in either wire form. It keeps nothing of b, and the length of b
// bounds what it allocates. It returns an *[UnsupportedError] for other hardware than Intel
// TDX.
func Parse(b []byte) (*Attestation, error) {
	a, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("attestation: %w", err)
	}
	return a, nil
}

// Legacy returns an attestation made of the evidence of dstack 0.5.8 and older: a quote, its
// report data, and the JSON of an event log. The runtime events are the events of RTMR3 in
// the log. It keeps nothing of its input.
func Legacy(quote []byte, reportData [64]byte, eventLog []byte) (*Attestation, error) {
	events, err := ParseEventLog(eventLog)
	if err != nil {
		return nil, err
	}
	if len(quote) > maxQuote {
		return nil, fmt.Errorf("quote: %w", tooLong(len(quote), maxQuote))
	}
	a := &Attestation{Quote: append([]byte(nil), quote...), Events: events, ReportData: reportData}
	for _, e := range events {
		if e.IMR == runtimeIMR {
			a.RuntimeEvents = append(a.RuntimeEvents, RuntimeEvent{Name: e.Name, Payload: e.Payload, Format: e.Format})
		}
	}
	return a, nil
}

// Marshal returns the attestation in the form of its Version. It returns an error if Parse
// would refuse the result, or if the form cannot represent it.
func (a *Attestation) Marshal() ([]byte, error) {
	var b []byte
	switch {
	case a.Version == 0 && a.needsV1():
		return nil, errors.New("attestation: version 0 has no events of format 2 and no pods: use version 1")
	case a.Version == 0:
		b = a.appendV0(nil)
	case a.Version == 1:
		b = a.appendV1(nil)
	default:
		return nil, fmt.Errorf("attestation: version %d, want 0 or 1", a.Version)
	}
	if _, err := Parse(b); err != nil {
		return nil, err
	}
	return b, nil
}

func parse(b []byte) (*Attestation, error) {
	switch {
	case len(b) > MaxSize:
		return nil, tooLong(len(b), MaxSize)
	case len(b) == 0:
		return nil, errShort
	}
	switch first := b[0]; {
	case first == tagV0:
		return parseV0(append([]byte(nil), b...))
	case isV1(first):
		return parseV1(b)
	default:
		return nil, fmt.Errorf("first byte 0x%02x: unknown version", first)
	}
}

func (a *Attestation) needsV1() bool {
	if a.Stack != StackDstack || a.PodPayload != "" {
		return true
	}
	for _, e := range a.Events {
		if e.Format != FormatV1 {
			return true
		}
	}
	for _, e := range a.RuntimeEvents {
		if e.Format != FormatV1 {
			return true
		}
	}
	return false
}

func (a *Attestation) checkPod() error {
	if a.Stack == StackPod && a.ReportData != ReportData(TagAppData, []byte(a.PodPayload)) {
		return ErrPodPayload
	}
	return nil
}

var (
	errShort    = errors.New("ends too early")
	errTrailing = errors.New("bytes after the end")
)

func tooLong(n, limit int) error { return fmt.Errorf("%d bytes, want at most %d", n, limit) }
