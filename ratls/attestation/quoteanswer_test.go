package attestation

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuoteAnswerIsWrittenAndReadAlike(t *testing.T) {
	q := QuoteAnswer{Quote: []byte{4, 0xff}, EventLog: "[]", ReportData: [64]byte{0xab, 63: 1}, VMConfig: `{"cpu_count":2}`, Attestation: []byte{0, 1}}
	b, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"quote":"04ff","event_log":"[]","report_data":"ab` + strings.Repeat("00", 62) + `01","vm_config":"{\"cpu_count\":2}","attestation":"0001"}`
	if string(b) != want {
		t.Errorf("%s\nwant %s", b, want)
	}
	var again QuoteAnswer
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(q, again); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQuoteAnswersThatAreRead(t *testing.T) {
	for text, want := range map[string]QuoteAnswer{
		`{"quote":"04FF","event_log":"[]","report_data":"0xab01","vm_config":"{}","new":1}`: {Quote: []byte{4, 0xff}, EventLog: "[]", ReportData: [64]byte{0xab, 1}, VMConfig: "{}"},
		`{"attestation":"0x0001"}`:               {Attestation: []byte{0, 1}},
		`{"quote":"00","attestation":null}`:      {Quote: []byte{0}},
		`{"quote":"00","report_data":"0x"}`:      {Quote: []byte{0}},
		`{"quote":"00","attestation":"","x":{}}`: {Quote: []byte{0}},
	} {
		var got QuoteAnswer
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestQuoteAnswersThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                            ErrNoEvidence.Error(),
		`{"quote":"","event_log":"[]"}`: ErrNoEvidence.Error(),
		`{"quote":"0g"}`:                "quote: want hex",
		`{"quote":"0"}`:                 "quote: want hex",
		`{"attestation":"xy"}`:          "attestation: want hex",
		`{"quote":1}`:                   "json: cannot unmarshal",
		`[]`:                            "json: cannot unmarshal",
		`{"quote":"00","report_data":"` + strings.Repeat("00", 65) + `"}`: "report_data: 65 bytes, want at most 64",
	} {
		got := QuoteAnswer{EventLog: "before"}
		err := json.Unmarshal([]byte(text), &got)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if got.EventLog != "before" || got.Quote != nil {
			t.Errorf("%s: %+v with an error", text, got)
		}
	}
	if err := json.Unmarshal([]byte(`{}`), new(QuoteAnswer)); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("%v", err)
	}
}

// FuzzQuoteAnswer: what is read is written so that it reads alike.
func FuzzQuoteAnswer(f *testing.F) {
	f.Add([]byte(`{"quote":"04ff","event_log":"[]","report_data":"0xab01","vm_config":"{}","attestation":"00"}`))
	f.Add([]byte(`{"attestation":"0x","quote":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var q, again QuoteAnswer
		if json.Unmarshal(b, &q) != nil {
			return
		}
		out, err := json.Marshal(q)
		if err == nil {
			err = json.Unmarshal(out, &again)
		}
		if diff := cmp.Diff(q, again); err != nil || diff != "" {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	})
}
