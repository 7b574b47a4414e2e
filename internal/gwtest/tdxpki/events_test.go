package tdxpki

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// vectors is derived/vectors.json, computed from the descriptions and real data.
type vectors struct {
	V1 []digestVector `json:"v1_digests"`
	V2 []digestVector `json:"v2_digest"`

	AppInfo map[string]struct {
		Unverified       appInfoVector `json:"unverified"`
		VerifiedDeviceID Bytes         `json:"verified_device_id"`
	} `json:"app_info"`
	MsgPack struct {
		Nine  Bytes `json:"nine_fields"`
		Eight Bytes `json:"eight_fields"`
	} `json:"app_info_msgpack"`
	ReportData []struct {
		Tag     string `json:"tag"`
		Content Bytes  `json:"content_hex"`
		Text    string `json:"content_utf8"`
		Want    Bytes  `json:"sha512"`
	} `json:"report_data"`
	Compact [][2]any `json:"scale_compact"`
}

type digestVector struct {
	Event    string `json:"event"`
	Payload  Bytes  `json:"payload"`
	Preimage string `json:"preimage"`
	Digest   Bytes  `json:"digest"`
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	readJSON(t, fixture(t, "derived/vectors.json"), &v)
	return v
}

func TestEventDigestsAreThoseOfTheVectors(t *testing.T) {
	v := readVectors(t)
	if len(v.V1) == 0 || len(v.V2) == 0 {
		t.Fatal("no vector")
	}
	for _, want := range v.V1 {
		if got := RuntimeEvent(want.Event, want.Payload); !bytes.Equal(got.Digest, want.Digest) {
			t.Errorf("%s: %x, want %x", want.Event, got.Digest, want.Digest)
		}
	}
	for _, want := range v.V2 {
		got := RuntimeEventV2(want.Event, want.Payload)
		if string(got.Preimage) != want.Preimage || !bytes.Equal(got.Digest, want.Digest) {
			t.Errorf("%s: %x of %s, want %x", want.Event, got.Digest, got.Preimage, want.Digest)
		}
	}
}

// The examples are those of RFC 8785, 3.2.2.2, and what encoding/json escapes otherwise.
func TestEventNamesAreWrittenCanonically(t *testing.T) {
	tests := map[string]string{
		"€$\u000F\u000aA'\u0042\u0022\u005c\\\"/": `"€$\u000f\nA'B\"\\\\\"/"`,
		"<&>":                "\"<&>\"",
		"\u2028\u2029":       "\"\u2028\u2029\"",
		`\u2028`:             `"\\u2028"`,
		"\b\t\n\f\r\x01\x7f": "\"\\b\\t\\n\\f\\r\\u0001\x7f\"",
	}
	for name, want := range tests {
		if got := canonical(name); string(got) != want {
			t.Errorf("%q is written %s, want %s", name, got, want)
		}
	}
}

func TestRealLogsAreReplayedAndReproduced(t *testing.T) {
	for _, name := range []string{"guest-agent", "quote-report"} {
		var l Log
		readJSON(t, fixture(t, "derived/"+name+".event_log.json"), &l)
		want := quoteOf(t, fixture(t, "derived/"+name+".quote.bin")).TD.RTMR
		if l.RTMRs() != want {
			t.Errorf("%s: registers differ", name)
		}
		if stripped := l.Strip().RTMRs(); stripped[3] != want[3] {
			t.Errorf("%s: register 3 of the stripped log differs", name)
		}
	}
	var real struct {
		EventLog string `json:"event_log"`
	}
	readJSON(t, fixture(t, "dstack/quote-report.json"), &real)
	var l Log
	readJSON(t, []byte(real.EventLog), &l)
	if string(l.JSON()) != real.EventLog {
		t.Error("the JSON of a real log is not reproduced")
	}
}

func TestReportDataIsThatOfTheVectors(t *testing.T) {
	for _, v := range readVectors(t).ReportData {
		content := append(v.Content, v.Text...)
		if got := ReportData(v.Tag, content); !bytes.Equal(got[:], v.Want) {
			t.Errorf("%s: %x, want %x", v.Tag, got, v.Want)
		}
	}
}

func TestStripKeepsWhatACertificateNeeds(t *testing.T) {
	p := New(1, now)
	l := p.Log(Guest{}.boot(), 2)
	stripped := l.Strip()
	if len(stripped) != 3+len(l.Runtime()) {
		t.Fatalf("%d events left", len(stripped))
	}
	for i, e := range stripped {
		acpi := i < 3
		if acpi && (len(e.Digest) != 48 || string(e.Payload) != "ACPI DATA") || !acpi && (e.Digest != nil || e.Preimage != nil) {
			t.Errorf("event %d is %+v", i, e)
		}
	}
	if stripped.RTMRs()[3] != l.RTMRs()[3] {
		t.Error("register 3 cannot be replayed from a stripped log")
	}
}

func TestAppInfoIsThatOfTheVectors(t *testing.T) {
	v := readVectors(t)
	for file, name := range map[string]string{"guest-agent-attestation.bin": "guest-agent", "quote-report.json": "quote-report"} {
		want := v.AppInfo[file]
		var l Log
		readJSON(t, fixture(t, "derived/"+name+".event_log.json"), &l)
		q := quoteOf(t, fixture(t, "derived/"+name+".quote.bin"))
		info := Derive(&q.TD, l, want.Unverified.OSImageHash)
		if got := info.Marshal(); !bytes.Equal(got, want.Unverified.appInfo().Marshal()) {
			t.Errorf("%s:\n got %x\nwant %x", name, got, want.Unverified.appInfo().Marshal())
		}
		if name == "guest-agent" && (!bytes.Equal(info.Marshal(), v.MsgPack.Nine) || !bytes.Equal(info.MarshalOld(), v.MsgPack.Eight)) {
			t.Error("MessagePack differs from the vectors")
		}
		var ppid PCK
		leaf := blocks(t, q.PCKData)[0]
		i := bytes.Index(leaf, must(hex.DecodeString("060a2a864886f84d010d01010410")))
		copy(ppid.PPID[:], leaf[i+14:])
		if !bytes.Equal(ppid.DeviceID(), want.VerifiedDeviceID) {
			t.Errorf("%s: device id %x, want %x", name, ppid.DeviceID(), want.VerifiedDeviceID)
		}
	}
}

type appInfoVector struct {
	AppID            Bytes   `json:"app_id"`
	ComposeHash      Bytes   `json:"compose_hash"`
	InstanceID       Bytes   `json:"instance_id"`
	DeviceID         Bytes   `json:"device_id"`
	MRSystem         Bytes   `json:"mr_system"`
	MRAggregated     Bytes   `json:"mr_aggregated"`
	OSImageHash      Bytes   `json:"os_image_hash"`
	KeyProviderInfo  Bytes   `json:"key_provider_info"`
	InitScriptHashes []Bytes `json:"init_script_hashes"`
}

func (v appInfoVector) appInfo() AppInfo {
	a := AppInfo{
		AppID: v.AppID, ComposeHash: v.ComposeHash, InstanceID: v.InstanceID, DeviceID: v.DeviceID,
		MRSystem: v.MRSystem, MRAggregated: v.MRAggregated, OSImageHash: v.OSImageHash, KeyProviderInfo: v.KeyProviderInfo,
	}
	for _, hash := range v.InitScriptHashes {
		a.InitScriptHashes = append(a.InitScriptHashes, hash)
	}
	return a
}
