package ratls

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"testing"
)

// The app info of a real machine, encoded by hand from dstack's description.
func TestRealAppInfo(t *testing.T) {
	var vectors struct {
		AppInfo map[string]struct {
			Unverified json.RawMessage `json:"unverified"`
		} `json:"app_info"`
		MessagePack map[string]string `json:"app_info_msgpack"`
	}
	if err := json.Unmarshal(fixture(t, "derived/vectors.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	for form, scripts := range map[string]any{
		"nine_fields":     []any{},
		"nine_fields_nil": nil,
		"eight_fields":    nil,
	} {
		payload, err := hex.DecodeString(vectors.MessagePack[form])
		if err != nil || len(payload) == 0 {
			t.Fatalf("%s: %d bytes, %v", form, len(payload), err)
		}
		info, err := ParseAppInfo(payload)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		var want map[string]any
		if err := json.Unmarshal(vectors.AppInfo["guest-agent-attestation.bin"].Unverified, &want); err != nil {
			t.Fatal(err)
		}
		want["init_script_hashes"] = scripts
		if got := asJSON(t, info); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\nwant %v", form, got, want)
		}
		if form == "eight_fields" { // we write nine
			continue
		}
		if again := marshal(t, info); hex.EncodeToString(again) != vectors.MessagePack[form] {
			t.Errorf("%s: written as %x\nwant %s", form, again, vectors.MessagePack[form])
		}
	}
}

func asJSON(t *testing.T, v any) (fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &fields); err != nil {
		t.Fatal(err)
	}
	return fields
}

// Real hardware evidence passes through a certificate unchanged, in both forms.
func TestRealEvidenceReachesTheAppraiser(t *testing.T) {
	quote, events := fixture(t, "derived/quote-report.quote.bin"), fixture(t, "derived/quote-report.event_log.json")
	attestation := fixture(t, "dstack/guest-agent-attestation.bin")
	a := newAuthority(t)
	for name, list := range map[string]Extensions{
		"legacy":      {Quote: quote, EventLog: events},
		"attestation": {Attestation: attestation},
	} {
		r := without(guest())
		var err error
		if r.ExtraExtensions, err = list.Marshal(); err != nil {
			t.Fatal(err)
		}
		chain := verified(t, a, issue(t, a, r))
		v := &fakeAppraiser{verdict: Verdict{AppInfo: *testInfo()}}
		if _, err := Identify(t.Context(), chain, Options{RequireQuote: true, Appraiser: v}); err != nil {
			t.Fatal(err)
		}
		want := Evidence{Quote: list.Quote, EventLog: list.EventLog, Attestation: list.Attestation, PublicKey: chain[0].RawSubjectPublicKeyInfo, Issued: chain[0].NotBefore}
		if !reflect.DeepEqual(v.asked, []Evidence{want}) {
			t.Errorf("%s: the appraiser got other evidence", name)
		}
	}
}
