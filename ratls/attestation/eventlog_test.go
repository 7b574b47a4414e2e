package attestation

import (
	"reflect"
	"strings"
	"testing"
)

func TestEventLogOfJSON(t *testing.T) {
	got, err := ParseEventLog([]byte(`[
		{"imr":0,"event_type":4294967295,"digest":"` + strings.Repeat("aB", 48) + `","event":"","event_payload":"00FF"},
		{"imr":3,"event_type":134217729,"event":"app-id","version":2,"preimage":"7b7d","new":[{}]},
		{"imr":3,"event_type":134217729,"digest":"","event":"x","event_payload":"","version":1}
	]`))
	want := []Event{
		{IMR: 0, Type: 0xffffffff, Digest: []byte(strings.Repeat("\xab", 48)), Payload: []byte{0, 255}},
		{IMR: 3, Type: RuntimeEventType, Name: "app-id", Format: FormatV2},
		{IMR: 3, Type: RuntimeEventType, Name: "x"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := ParseEventLog([]byte(" [] ")); err != nil || got != nil {
		t.Errorf("empty log: %+v, %v", got, err)
	}
}

func TestBadEventLogIsRefused(t *testing.T) {
	with := func(member string) string { return `[{"imr":3,"event_type":134217729,` + member + `}]` }
	for _, c := range []struct{ why, in, want string }{
		{"nothing", "", "EOF"},
		{"null", "null", "not a JSON array"},
		{"an object", `{"imr":0}`, "not a JSON array"},
		{"not closed", `[{"imr":0,"event_type":0}`, "EOF"},
		{"comma at the end", `[{"imr":0,"event_type":0},]`, "invalid character"},
		{"no comma", `[{"imr":0,"event_type":0}{"imr":0,"event_type":0}]`, "expected comma"},
		{"trailing value", `[] []`, "bytes after the end"},
		{"trailing byte", `[]x`, "bytes after the end"},
		{"not UTF-8", "[\"\xff\"]", "not UTF-8"},
		{"too large", strings.Repeat(" ", MaxSize+1), "10485761 bytes, want at most 10485760"},
		{"too many", "[" + strings.Repeat(`{"imr":0,"event_type":0},`, maxEvents) + `{"imr":0,"event_type":0}]`, "more than 16384 events"},
		{"no members", "[{}]", "0: imr or event_type is missing"},
		{"null event", "[null]", "0: imr or event_type is missing"},
		{"no type", `[{"imr":0}]`, "0: imr or event_type is missing"},
		{"register 4", `[{"imr":4,"event_type":0}]`, "0: imr 4, want at most 3"},
		{"register 256", `[{"imr":256,"event_type":0}]`, "cannot unmarshal"},
		{"register -1", `[{"imr":-1,"event_type":0}]`, "cannot unmarshal"},
		{"register 0.5", `[{"imr":0.5,"event_type":0}]`, "cannot unmarshal"},
		{"type of 33 bits", `[{"imr":0,"event_type":4294967296}]`, "cannot unmarshal"},
		{"firmware in RTMR3", `[{"imr":3,"event_type":4}]`, "0: type 0x00000004 in RTMR3"},
		{"runtime event in RTMR2", `[{"imr":2,"event_type":134217729}]`, "0: type 0x08000001 in RTMR2"},
		{"odd digest", with(`"digest":"abc"`), "digest: not hex"},
		{"digest not hex", with(`"digest":"zz"`), "digest: not hex"},
		{"short digest", with(`"digest":"abcd"`), "digest: 2 bytes, want none or 48"},
		{"payload not hex", with(`"event_payload":"0x00"`), "event_payload: not hex"},
		{"payload too long", with(`"event_payload":"` + strings.Repeat("00", maxPayload+1) + `"`), "payload: 262145 bytes, want at most 262144"},
		{"name too long", with(`"event":"` + strings.Repeat("x", maxName+1) + `"`), "event: 1025 bytes, want at most 1024"},
		{"version 0", with(`"version":0`), "version 0, want 1 or 2"},
		{"version 3", with(`"version":3`), "version 3, want 1 or 2"},
	} {
		got, err := ParseEventLog([]byte(c.in))
		if got != nil {
			t.Errorf("%s: read %+v", c.why, got)
		}
		if err == nil || !strings.Contains(err.Error(), "event log: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.why, err, c.want)
		}
	}
}

func TestLegacyEvidence(t *testing.T) {
	log := `[{"imr":1,"event_type":4,"event":"boot"},
		{"imr":3,"event_type":134217729,"event":"app-id","event_payload":"aa"},
		{"imr":3,"event_type":134217729,"event":"x","version":2}]`
	a, err := Legacy([]byte("quote"), [64]byte{7}, []byte(log))
	if err != nil {
		t.Fatal(err)
	}
	want := RuntimeLog{{Name: "app-id", Payload: []byte{0xaa}}, {Name: "x", Format: FormatV2}}
	if !reflect.DeepEqual(a.RuntimeEvents, want) || len(a.Events) != 3 || string(a.Quote) != "quote" || a.ReportData != [64]byte{7} || a.Config != "" {
		t.Errorf("%+v", a)
	}
	_, err = Legacy(nil, [64]byte{}, []byte("{}"))
	wantError(t, err, "event log: not a JSON array")
	_, err = Legacy(make([]byte, maxQuote+1), [64]byte{}, []byte("[]"))
	wantError(t, err, "quote: 65537 bytes")
}
