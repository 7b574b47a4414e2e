package ratls

import (
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// realReport is the evidence of a real machine, as its guest agent told it: without a
// certificate.
func realReport(t *testing.T) Evidence {
	t.Helper()
	var report struct {
		Quote    string
		EventLog string `json:"event_log"`
		VMConfig string `json:"vm_config"`
	}
	if err := json.Unmarshal(fixture(t, "dstack/quote-report.json"), &report); err != nil {
		t.Fatal(err)
	}
	quote, err := hex.DecodeString(report.Quote)
	if err != nil {
		t.Fatal(err)
	}
	return Evidence{Quote: quote, EventLog: []byte(report.EventLog), VMConfig: report.VMConfig}
}

// realVerifier stands on Intel's root and on collateral that Intel published.
func realVerifier(t *testing.T, at time.Time, p *Policy) *Verifier {
	t.Helper()
	const name = "dcap-qvl/tdx_quote_outdated_collateral.json"
	fixture(t, name)
	collateral, err := pccs.File(filepath.Join("..", "..", "shared", "fixtures", name), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(VerifierOptions{Collateral: collateral, Policy: p, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func realTime() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

func TestRealMachineIsUpToDate(t *testing.T) {
	r := realVerifier(t, realTime(), nil).Examine(t.Context(), realReport(t))
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	for _, s := range r.Steps {
		if s.Err != nil {
			t.Errorf("%s: %v", s.Name, s.Err)
		}
	}
	tcb := r.Verdict.TCB
	if tcb.Status != qvl.UpToDate || tcb.Platform.Status != qvl.UpToDate || tcb.Module.Status != qvl.UpToDate || tcb.QE.Status != qvl.UpToDate || len(tcb.Advisories) != 0 {
		t.Errorf("status %s, advisories %v", tcb.Status, tcb.Advisories)
	}
	if got := r.Verdict.KeyProvider.Name; got != "local-sgx" {
		t.Errorf("key provider %s", got)
	}
	var vectors struct {
		AppInfo map[string]struct {
			Unverified       map[string]any
			VerifiedDeviceID string `json:"verified_device_id"`
		} `json:"app_info"`
	}
	if err := json.Unmarshal(fixture(t, "derived/vectors.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	want := vectors.AppInfo["quote-report.json"].Unverified
	want["device_id"] = vectors.AppInfo["quote-report.json"].VerifiedDeviceID
	if got := asJSON(t, &r.Verdict.AppInfo); !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

func TestRealMachineIsRefusedOutsideItsWindow(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC): "has expired at 2026-03-21",
		time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC):  "is not valid yet at 2026-02-01",
	} {
		r := realVerifier(t, at, nil).Examine(t.Context(), realReport(t))
		if r.Verdict != nil {
			t.Errorf("%s: accepted", at)
		}
		wantError(t, r.Err, want)
	}
}

// The other real machines are of a platform that the collateral is not about.
func TestOtherRealMachinesAreRefused(t *testing.T) {
	v := realVerifier(t, realTime(), nil)
	for name, c := range map[string]struct {
		e    Evidence
		want string
	}{
		"guest agent": {Evidence{Attestation: fixture(t, "dstack/guest-agent-attestation.bin")}, "collateral: collateral unavailable for B0C06F000000-platform"},
		"asset":       {Evidence{Quote: fixture(t, "dstack/ra-tls-tdx_quote.bin")}, "collateral: collateral unavailable for B0C06F000000-platform"},
	} {
		r := v.Examine(t.Context(), c.e)
		if r.Verdict != nil {
			t.Errorf("%s: accepted", name)
		}
		wantError(t, r.Err, c.want)
	}
}

// A measurement list made of a machine's own report accepts it, and none that differs in a bit.
func TestRealMachineIsMeasured(t *testing.T) {
	e := realReport(t)
	td := realVerifier(t, realTime(), nil).Examine(t.Context(), e).Verdict.TD
	m := Measurement{&td.MRTD, &td.RTMR[0], &td.RTMR[1], &td.RTMR[2]}
	if r := realVerifier(t, realTime(), &Policy{Measurements: []Measurement{m}}).Examine(t.Context(), e); r.Err != nil {
		t.Error(r.Err)
	}
	other := td.RTMR[2]
	other[47] ^= 1
	m.RTMR2 = &other
	r := realVerifier(t, realTime(), &Policy{Measurements: []Measurement{m}}).Examine(t.Context(), e)
	wantError(t, r.Err, "policy: measurements:")
}
