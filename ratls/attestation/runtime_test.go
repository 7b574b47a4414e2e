package attestation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func TestDigests(t *testing.T) {
	for member, format := range map[string]Format{"v1_digests": FormatV1, "v2_digest": FormatV2} {
		var list []struct{ Event, Payload, Digest, Preimage string }
		vectors(t, member, &list)
		if len(list) == 0 {
			t.Fatal("no vectors")
		}
		for _, v := range list {
			e := RuntimeEvent{Name: v.Event, Payload: unhex(t, v.Payload), Format: format}
			if got := e.Digest(); hex.EncodeToString(got[:]) != v.Digest {
				t.Errorf("%s %q: %x, want %s", member, v.Event, got, v.Digest)
			}
			if got := string(e.preimage()); v.Preimage != "" && got != v.Preimage {
				t.Errorf("preimage %s, want %s", got, v.Preimage)
			}
		}
	}
}

// RFC 8785, 3.2.2.2, with its own example first.
func TestCanonicalStrings(t *testing.T) {
	for in, want := range map[string]string{
		"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/": `"€$\u000f\nA'B\"\\\\\"/"`,
		"\b\t\n\v\f\r\x00\x1f":                         `"\b\t\n\u000b\f\r\u0000\u001f"`,
		"<a href='x'>&\u2028\u2029\x7f":                "\"<a href='x'>&\u2028\u2029\x7f\"",
		"😂 ünïcode":                                    `"😂 ünïcode"`,
	} {
		got := string(appendCanonicalString(nil, in))
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back != in {
			t.Errorf("%s: reads as %q, %v", got, back, err)
		}
	}
}

// real reads both of the real machines' evidence.
func real(t testing.TB) map[string]*Attestation {
	t.Helper()
	guest, err := Parse(fixture(t, realV0))
	if err != nil {
		t.Fatal(err)
	}
	quote := fixture(t, "derived/quote-report.quote.bin")
	report, err := Legacy(quote, reportDataOf(quote), fixture(t, "derived/quote-report.event_log.json"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Attestation{"guest-agent": guest, "quote-report": report}
}

func TestRealLogsReplayToAllRegisters(t *testing.T) {
	for name, a := range real(t) {
		want := registers(a.Quote)
		for imr := range uint8(3) {
			if got, err := ReplayBoot(a.Events, imr); err != nil || got != want[imr] {
				t.Errorf("%s: RTMR%d: %x, %v, want %x", name, imr, got, err, want[imr])
			}
		}
		if err := a.RuntimeEvents.Verify(want[3]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if a.ReportData != reportDataOf(a.Quote) {
			t.Errorf("%s: report data %x", name, a.ReportData)
		}
	}
}

func TestReplayNeedsDigests(t *testing.T) {
	events := []Event{{IMR: 0, Digest: digest(1)}, {IMR: 1}}
	if _, err := ReplayBoot(events, 0); err != nil {
		t.Error(err)
	}
	if _, err := ReplayBoot(events, 1); !errors.Is(err, ErrStripped) {
		t.Errorf("error %v, want %v", err, ErrStripped)
	}
	_, err := ReplayBoot(events, 3)
	wantError(t, err, "want RTMR0 to RTMR2")
}

func TestBootTimePartOfARealLog(t *testing.T) {
	var want struct {
		RTMR3 string `json:"rtmr3_replay_to_boot_mr_done"`
	}
	if err := json.Unmarshal(fixture(t, "derived/guest-agent.decoded.json"), &want); err != nil {
		t.Fatal(err)
	}
	boot := real(t)["guest-agent"].RuntimeEvents.BootTime()
	if got := boot.RTMR3(); hex.EncodeToString(got[:]) != want.RTMR3 {
		t.Errorf("%x, want %s", got, want.RTMR3)
	}
	if got := boot.Payload(EventKeyProvider); got != nil {
		t.Errorf("key provider %q is of a later part", got)
	}
	all := RuntimeLog{{Name: "app-id"}, {Name: "mine"}}
	if got := all.BootTime(); len(got) != len(all) {
		t.Errorf("a log without boot-mr-done was cut to %d events", len(got))
	}
}

// The machine of this log has an event of its application.
func TestRealLogIsCutAtSystemReady(t *testing.T) {
	log := real(t)["quote-report"].RuntimeEvents
	const theirs = "LIUM_MINER_HOTKEY"
	if log[len(log)-1].Name != theirs {
		t.Fatal("the log does not have the application's event")
	}
	if got := log.Payload(theirs); got != nil {
		t.Errorf("found the application's event: %x", got)
	}
	if system := log.System(); len(system) != len(log)-1 || system[len(system)-1].Name != EventSystemReady {
		t.Errorf("%d of %d events, want all but the last", len(system), len(log))
	}
}

func TestAppCannotAddSystemEvents(t *testing.T) {
	log := slices.Concat(sampleLog(), RuntimeLog{
		{Name: "app-id", Payload: []byte("other")},
		{Name: "os-image-hash", Payload: []byte("other")},
		{Name: "system-ready"},
		{Name: "init-script-hash", Payload: []byte("other")},
	})
	if err := log.Verify(log.RTMR3()); err != nil {
		t.Fatal(err)
	}
	if got := log.Payload(EventAppID); string(got) != "app" {
		t.Errorf("app id %q", got)
	}
	if got := log.Payload(EventOSImageHash); got != nil {
		t.Errorf("OS image %q", got)
	}
	if got := log.Payloads(EventInitScriptHash); got != nil {
		t.Errorf("init scripts %q", got)
	}
}

func TestFirstEventOfANameWins(t *testing.T) {
	log := RuntimeLog{
		{Name: "app-id", Payload: []byte("1")},
		{Name: "init-script-hash", Payload: []byte("a")},
		{Name: "app-id", Payload: []byte("2")},
		{Name: "init-script-hash", Payload: []byte("b")},
	}
	if got := log.Payload(EventAppID); string(got) != "1" {
		t.Errorf("app id %q", got)
	}
	if got := log.Payloads(EventInitScriptHash); !slices.EqualFunc(got, [][]byte{[]byte("a"), []byte("b")}, bytes.Equal) {
		t.Errorf("init scripts %q", got)
	}
	if got := log.Payload(EventComposeHash); len(got) != 0 {
		t.Errorf("an event that is not there has payload %q", got)
	}
}

func TestChangedLogDoesNotReplay(t *testing.T) {
	good := sampleLog()
	rtmr3 := good.RTMR3()
	for why, change := range map[string]func(RuntimeLog) RuntimeLog{
		"payload changed":           func(l RuntimeLog) RuntimeLog { l[0].Payload = []byte("apq"); return l },
		"name changed":              func(l RuntimeLog) RuntimeLog { l[0].Name = "app-ie"; return l },
		"format changed":            func(l RuntimeLog) RuntimeLog { l[0].Format = FormatV2; return l },
		"event added before":        func(l RuntimeLog) RuntimeLog { return slices.Insert(l, 0, RuntimeEvent{Name: "app-id"}) },
		"event added before ready":  func(l RuntimeLog) RuntimeLog { return slices.Insert(l, 4, RuntimeEvent{Name: "app-id"}) },
		"event added after ready":   func(l RuntimeLog) RuntimeLog { return append(l, RuntimeEvent{Name: "app-id"}) },
		"event dropped":             func(l RuntimeLog) RuntimeLog { return l[1:] },
		"last event dropped":        func(l RuntimeLog) RuntimeLog { return l[:len(l)-1] },
		"events in another order":   func(l RuntimeLog) RuntimeLog { l[0], l[1] = l[1], l[0]; return l },
		"no events":                 func(RuntimeLog) RuntimeLog { return nil },
		"events of an application":  func(l RuntimeLog) RuntimeLog { l[5].Payload = nil; return l },
		"system-ready made earlier": func(l RuntimeLog) RuntimeLog { l[2].Name = "system-ready"; return l },
	} {
		if err := change(slices.Clone(good)).Verify(rtmr3); !errors.Is(err, ErrReplay) {
			t.Errorf("%s: error %v, want %v", why, err, ErrReplay)
		}
	}
}

// The digest of format 1 is the same for each colon at which name and payload
// are parted: without the rule, this would be a machine without a key provider.
func TestBorderBetweenNameAndPayloadCannotMove(t *testing.T) {
	log := sampleLog()
	rtmr3 := log.RTMR3()
	log[3] = RuntimeEvent{Name: `key-provider:{"name"`, Payload: []byte(`"kms"}`)}
	if log.RTMR3() != rtmr3 {
		t.Fatal("the digest tells the two apart")
	}
	if err := log.Verify(rtmr3); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("error %v, want %v", err, ErrAmbiguous)
	}
	log[3].Format = FormatV2 // hashes the border
	if err := log.Verify(log.RTMR3()); err != nil {
		t.Error(err)
	}
}

// After system-ready a colon moves nothing that is looked at.
func TestApplicationsMayHaveColonsInNames(t *testing.T) {
	log := append(sampleLog(), RuntimeEvent{Name: "my:event", Payload: []byte("x")})
	if err := log.Verify(log.RTMR3()); err != nil {
		t.Error(err)
	}
}

func TestReportData(t *testing.T) {
	var list []struct {
		Tag         Tag
		ContentHex  string `json:"content_hex"`
		ContentUTF8 string `json:"content_utf8"`
		SHA512      string `json:"sha512"`
	}
	vectors(t, "report_data", &list)
	tags := map[Tag]bool{}
	for _, v := range list {
		tags[v.Tag] = true
		got := ReportData(v.Tag, append(unhex(t, v.ContentHex), v.ContentUTF8...))
		if hex.EncodeToString(got[:]) != v.SHA512 {
			t.Errorf("%s: %x, want %s", v.Tag, got, v.SHA512)
		}
	}
	for _, tag := range []Tag{TagRATLSCert, TagZTCert, TagACMEAccount, TagKMSRootCA, TagAppData} {
		if !tags[tag] {
			t.Errorf("no vector for %s", tag)
		}
	}
}
