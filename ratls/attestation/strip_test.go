package attestation

import (
	"reflect"
	"testing"
)

func TestStrippedAttestationHasWhatACertificateNeeds(t *testing.T) {
	a := sample()
	a.Events = append(a.Events,
		Event{IMR: 0, Type: 10, Digest: digest(4), Payload: []byte("no name")},
		Event{IMR: 1, Type: 10, Digest: digest(5), Name: "acpi-rsdp"},
		Event{IMR: 0, Type: 11, Digest: digest(6), Name: "acpi-tables"},
	)
	before := marshal(t, a)
	want := *a
	want.Events = []Event{
		{IMR: 0, Type: 10, Digest: digest(1), Name: "acpi-loader", Payload: []byte("ACPI DATA")},
		{IMR: 3, Type: RuntimeEventType, Name: "app-id", Payload: []byte("app")},
	}
	got := a.Strip()
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("%+v\nwant %+v", got, &want)
	}
	if again, err := Parse(marshal(t, got)); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("%+v, %v after a round trip", again, err)
	}
	if string(marshal(t, a)) != string(before) {
		t.Error("stripping changed the original")
	}
}

func TestStrippedLogStillReplaysToRTMR3(t *testing.T) {
	for name, a := range real(t) {
		stripped, err := Parse(marshal(t, a.Strip()))
		if err != nil {
			t.Fatal(err)
		}
		if err := stripped.RuntimeEvents.Verify(registers(a.Quote)[3]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(stripped.Events) != len(a.RuntimeEvents) {
			t.Errorf("%s: %d events, want the %d of RTMR3", name, len(stripped.Events), len(a.RuntimeEvents))
		}
	}
}
