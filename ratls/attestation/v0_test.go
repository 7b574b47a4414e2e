package attestation

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const realV0 = "dstack/guest-agent-attestation.bin"

func TestRealAttestationIsRead(t *testing.T) {
	a, err := Parse(fixture(t, realV0))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Config        string `json:"config"`
		RuntimeEvents []struct {
			Event, Payload string
		} `json:"runtime_events"`
	}
	if err := json.Unmarshal(fixture(t, "derived/guest-agent.decoded.json"), &want); err != nil {
		t.Fatal(err)
	}
	if a.Version != 0 || a.Stack != StackDstack || a.ReportData != [64]byte{} || a.Config != want.Config {
		t.Errorf("version %d, stack %d, report data %x, config %q", a.Version, a.Stack, a.ReportData, a.Config)
	}
	if !bytes.Equal(a.Quote, fixture(t, "derived/guest-agent.quote.bin")) {
		t.Error("another quote")
	}
	var log RuntimeLog
	for _, e := range want.RuntimeEvents {
		log = append(log, RuntimeEvent{Name: e.Event, Payload: unhex(t, e.Payload)})
	}
	if !reflect.DeepEqual(a.RuntimeEvents, log) {
		t.Errorf("runtime events %+v\nwant %+v", a.RuntimeEvents, log)
	}
	events, err := ParseEventLog(fixture(t, "derived/guest-agent.event_log.json"))
	if err != nil || !reflect.DeepEqual(a.Events, events) {
		t.Errorf("events differ from those of the same log in JSON (%v)", err)
	}
}

func TestRealAttestationIsWrittenAsItWas(t *testing.T) {
	real := fixture(t, realV0)
	a, err := Parse(real)
	if err != nil {
		t.Fatal(err)
	}
	if got := marshal(t, a); !bytes.Equal(got, real) {
		t.Errorf("%d bytes, not the %d that were read", len(got), len(real))
	}
}

func TestEvidenceOfOtherHardwareIsRefusedByName(t *testing.T) {
	v1 := func(kind string) []byte {
		return bytes.Replace(marshal(t, sampleV1()), []byte("\xa3tdx"), append([]byte{0xa0 | byte(len(kind))}, kind...), 1)
	}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{fixture(t, "dstack/sev_snp_attestation.bin"), "AMD SEV-SNP"},
		{fixture(t, "dstack/nitro_attestation.bin"), "AWS Nitro enclave"},
		{[]byte{0, 1, 0}, "GCP TDX"},
		{[]byte{0, 4, 0}, "AWS NitroTPM"},
		{v1("sev-snp"), "AMD SEV-SNP"},
		{v1("nitro-enclave"), "AWS Nitro enclave"},
		{v1("gcp-tdx"), "GCP TDX"},
		{v1("aws-nitro-tpm"), "AWS NitroTPM"},
	} {
		a, err := Parse(c.b)
		var unsupported *UnsupportedError
		if a != nil || !errors.As(err, &unsupported) || unsupported.Platform != c.want {
			t.Errorf("%+v, %v, want %s refused", a, err, c.want)
		}
		wantError(t, err, c.want+" evidence is not supported yet")
	}
}

func TestV0SurvivesItsEncoding(t *testing.T) {
	for name, change := range map[string]func(*Attestation){
		"everything": func(*Attestation) {},
		"nothing":    func(a *Attestation) { *a = Attestation{} },
		"large":      func(a *Attestation) { a.Quote = make([]byte, maxQuote); a.Config = strings.Repeat(" ", maxConfig) },
		"long log":   func(a *Attestation) { a.RuntimeEvents = make(RuntimeLog, maxEvents) },
	} {
		want := sample()
		change(want)
		if got, err := Parse(marshal(t, want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestParseKeepsNothingOfItsInput(t *testing.T) {
	for _, want := range []*Attestation{sample(), sampleV1()} {
		b := marshal(t, want)
		got, err := Parse(b)
		clear(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("version %d: changed with the input (%v)", want.Version, err)
		}
	}
}

func TestBadV0IsRefused(t *testing.T) {
	good := marshal(t, sample())
	edit := func(from, to string) []byte {
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("nothing to replace: %q", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	event := "\x01\x00\x00\x00\x04\x00\x00\x00"
	for _, c := range []struct {
		why  string
		b    []byte
		want string
	}{
		{"nothing", nil, "ends too early"},
		{"version alone", []byte{0}, "platform: ends too early"},
		{"another version", append([]byte{1}, good[1:]...), "first byte 0x01: unknown version"},
		{"another platform", append([]byte{0, 5}, good[2:]...), "platform 5 is not known"},
		{"trailing byte", append(slices.Clone(good), 0), "bytes after the end"},
		{"too large", make([]byte, MaxSize+1), "10485761 bytes, want at most 10485760"},
		{"quote too long", []byte("\x00\x00\x06\x00\x04\x00" + strings.Repeat("q", maxQuote+1)), "quote: 65537 bytes, want at most 65536"},
		{"register 4", edit(event, "\x04"+event[1:]), "event log: 1: imr 4, want at most 3"},
		{"register 257", edit(event, "\x01\x01"+event[2:]), "event log: 1: imr 257, want at most 3"},
		{"firmware in RTMR3", edit(event, "\x03"+event[1:]), "type 0x00000004 in RTMR3"},
		{"runtime event in RTMR0", edit("\x03\x00\x00\x00\x01\x00\x00\x08", "\x00\x00\x00\x00\x01\x00\x00\x08"), "type 0x08000001 in RTMR0"},
		{"digest of SHA-256", edit("\xc0"+string(digest(2)), "\x80"+string(digest(2)[16:])), "digest: 32 bytes, want none or 48"},
		{"name not UTF-8", edit("acpi", "ac\xffi"), "event log: 0: event: not UTF-8"},
		{"runtime name not UTF-8", edit("mine", "min\xff"), "runtime events: 5: event: not UTF-8"},
		{"config not UTF-8", edit("os_image", "os\xffimage"), "config: not UTF-8"},
		{"2^30 runtime events", []byte("\x00\x00\x00\x00\xfe\xff\xff\xff"), "runtime events: 1073741823 items, want at most 16384"},
		{"more runtime events than bytes", []byte("\x00\x00\x00\x00\xfd\xff\x00\x00"), "runtime events: 1: event: ends too early"},
	} {
		a, err := Parse(c.b)
		if a != nil {
			t.Errorf("%s: read %+v", c.why, a)
		}
		wantError(t, err, c.want)
	}
}

func TestAttestationThatNobodyWouldReadIsNotWritten(t *testing.T) {
	for want, change := range map[string]func(*Attestation){
		"version 2, want 0 or 1":                      func(a *Attestation) { a.Version = 2 },
		"version 0 has no events of format 2":         func(a *Attestation) { a.RuntimeEvents[0].Format = FormatV2 },
		"use version 1":                               func(a *Attestation) { a.Stack = StackPod },
		"no pods":                                     func(a *Attestation) { a.PodPayload = "x" },
		"and no pods":                                 func(a *Attestation) { a.Events[2].Format = FormatV2 },
		"quote: 65537 bytes":                          func(a *Attestation) { a.Quote = make([]byte, maxQuote+1) },
		"digest: 1 bytes":                             func(a *Attestation) { a.Events[0].Digest = []byte{1} },
		"imr 7, want at most 3":                       func(a *Attestation) { a.Events[0].IMR = 7 },
		"payload: 262145 bytes":                       func(a *Attestation) { a.RuntimeEvents[0].Payload = make([]byte, maxPayload+1) },
		"16385 items, want at most 16384":             func(a *Attestation) { a.RuntimeEvents = make(RuntimeLog, maxEvents+1) },
		"report data is not that of the pod":          func(a *Attestation) { a.Version, a.Stack = 1, StackPod },
		"report_data_payload: allowed only for a pod": func(a *Attestation) { a.Version, a.PodPayload = 1, "x" },
		`stack: kind: "" is not known`:                func(a *Attestation) { a.Version, a.Stack = 1, 9 },
		"version 3, want 1 or 2":                      func(a *Attestation) { a.Version, a.RuntimeEvents[0].Format = 1, 2 },
		"format 2 in RTMR0: want it only in RTMR3":    func(a *Attestation) { a.Version, a.Events[0].Format = 1, FormatV2 },
	} {
		a := sample()
		change(a)
		b, err := a.Marshal()
		if b != nil {
			t.Errorf("%s: wrote %x", want, b)
		}
		wantError(t, err, want)
	}
}
