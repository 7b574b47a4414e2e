package attestation

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/ratls/internal/msgpack"
)

func TestV1SurvivesItsEncoding(t *testing.T) {
	for name, change := range map[string]func(*Attestation){
		"everything": func(*Attestation) {},
		"nothing":    func(a *Attestation) { *a = Attestation{Version: 1} },
		"no pod":     func(a *Attestation) { a.Stack, a.PodPayload = StackDstack, "" },
		"format 1":   func(a *Attestation) { a.Events[2].Format = FormatV1 },
		"large":      func(a *Attestation) { a.Quote = bytes.Repeat([]byte{200}, maxQuote) },
		"long log":   func(a *Attestation) { a.RuntimeEvents = make(RuntimeLog, maxEvents) },
	} {
		want := sampleV1()
		change(want)
		if got, err := Parse(marshal(t, want)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

// The evidence of a real machine means the same in the other form.
func TestRealAttestationFitsBothForms(t *testing.T) {
	want, err := Parse(fixture(t, realV0))
	if err != nil {
		t.Fatal(err)
	}
	want.Version = 1
	got, err := Parse(marshal(t, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("differs in version 1 (%v)", err)
	}
}

// handV1 is sampleV1 by hand: the forms that appendV1 does not write. octets
// writes what serde writes as integers, bin the rest.
func handV1(octets, bin func(to, b []byte) []byte) []byte {
	s := func(to []byte, s string) []byte { return msgpack.AppendText(to, s) }
	a := sampleV1()
	b := []byte{msgpack.Map16, 0, 3}
	b = append(s(b, "stack"), 0x82)
	b = s(s(s(b, "kind"), "dstack-pod"), "data")
	b = append(b, 0x84)
	b = s(s(b, "config"), a.Config)
	b = s(s(b, "report_data_payload"), a.PodPayload)
	b = octets(s(b, "report_data"), a.ReportData[:])
	b = append(s(b, "runtime_events"), 0x90|byte(len(a.RuntimeEvents)))
	for _, e := range a.RuntimeEvents {
		b = append(s(append(b, 0x83), "version"), 2)
		b = s(s(b, "event"), e.Name)
		b = bin(s(b, "payload"), e.Payload)
	}
	b = append(s(b, "platform"), 0x82)
	b = s(s(s(b, "kind"), "tdx"), "data")
	b = append(b, 0x82)
	b = append(s(b, "event_log"), 0x90|byte(len(a.Events)))
	for _, e := range a.Events {
		b = s(append(b, 0x87), "preimage")
		if e.Format == FormatV2 {
			b = s(b, "7b7d")
			b = append(s(b, "version"), 2)
		} else {
			b = append(b, msgpack.Nil)
			b = append(s(b, "version"), msgpack.Nil)
		}
		b = append(s(b, "event_type"), msgpack.Uint32, byte(e.Type>>24), byte(e.Type>>16), byte(e.Type>>8), byte(e.Type))
		b = append(s(b, "imr"), e.IMR)
		b = s(s(b, "event"), e.Name)
		b = bin(s(b, "event_payload"), e.Payload)
		b = bin(s(b, "digest"), e.Digest)
	}
	b = octets(s(b, "quote"), a.Quote)
	return append(s(b, "version"), 1)
}

func TestV1FormsAreEqual(t *testing.T) {
	want := sampleV1()
	for name, b := range map[string][]byte{
		"as serde writes": handV1(msgpack.AppendInts, msgpack.AppendBin),
		"all bin":         handV1(msgpack.AppendBin, msgpack.AppendBin),
		"all integers":    handV1(msgpack.AppendInts, msgpack.AppendInts),
	} {
		if got, err := Parse(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestPodsPayloadMustBeBound(t *testing.T) {
	good := marshal(t, sampleV1())
	forged := bytes.Replace(good, []byte("report_data_payload\xa3pod"), []byte("report_data_payload\xa3pot"), 1)
	if a, err := Parse(forged); a != nil || !errors.Is(err, ErrPodPayload) {
		t.Errorf("%+v, %v, want %v", a, err, ErrPodPayload)
	}
}

func TestBadV1IsRefused(t *testing.T) {
	good := marshal(t, sampleV1())
	edit := func(from, to string) []byte {
		if !bytes.Contains(good, []byte(from)) {
			t.Fatalf("nothing to replace: %q", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	for _, c := range []struct {
		why  string
		b    []byte
		want string
	}{
		{"head alone", []byte{0x83}, "ends too early"},
		{"empty map", []byte{0x80}, "version: is missing"},
		{"version 2", edit("version\x01", "version\x02"), "version: 2, want at most 1"},
		{"version 0", edit("version\x01", "version\x00"), "version: 0, want 1"},
		{"trailing byte", append(slices.Clone(good), 0), "bytes after the end"},
		{"unknown platform", edit("\xa3tdx", "\xa3tdy"), `platform: kind: "tdy" is not known`},
		{"unknown stack", edit("\xaadstack-pod", "\xaadstack-pot"), `stack: kind: "dstack-pot" is not known`},
		{"no pod but a payload", edit("\xaadstack-pod", "\xa6dstack"), "report_data_payload: allowed only for a pod"},
		{"pod without a payload", podWithoutPayload(), "report_data_payload: is missing"},
		{"unknown member", edit("event_log", "event_lag"), "platform: data: unknown field"},
		{"member twice", edit("\xadevent_payload", "\xa5event"), "event_log: 0: event: appears twice"},
		{"data before kind", edit("\xa4kind\xa3tdx\xa4data", "\xa4data\xa3tdx\xa4kind"), "platform: data: kind must come before data"},
		{"short report data", edit("\xabreport_data\xdc\x00\x40", "\xabreport_data\xdc\x00\x3f"), "report_data: 63 bytes, want 64"},
		{"report data in bin", edit("\xabreport_data\xdc\x00\x40", "\xabreport_data\xc4\x01"), "report_data: 1 bytes, want 64"},
		{"register 4", edit("\xa3imr\x03", "\xa3imr\x04"), "imr: 4, want at most 3"},
		{"format 3", edit("version\x02", "version\x03"), "version 3, want 1 or 2"},
		{"format 2 in RTMR0", formatInRTMR0(), "format 2 in RTMR0"},
		{"2^32 events", []byte("\x81\xa8platform\x82\xa4kind\xa3tdx\xa4data\x81\xa9event_log\xdd\xff\xff\xff\xff"), "ends too early"},
		{"event of a list", edit("event_log\x93\x85\xa3imr", "event_log\x93\x95\xa3imr"), "0x95, want a map"},
	} {
		a, err := Parse(c.b)
		if a != nil {
			t.Errorf("%s: read %+v", c.why, a)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.why, err, c.want)
		}
	}
}

func podWithoutPayload() []byte {
	a := sampleV1()
	a.Stack, a.PodPayload = StackDstack, ""
	b := a.appendV1(nil)
	return bytes.Replace(b, []byte("\xa6dstack"), []byte("\xaadstack-pod"), 1)
}

func formatInRTMR0() []byte {
	a := sampleV1()
	a.Events[0].Format = FormatV2
	return a.appendV1(nil)
}
