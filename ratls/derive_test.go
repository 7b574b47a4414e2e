package ratls

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
	"sallyport/ratls/tdx"
)

// A machine is what there is before its app info is derived.
type machine struct {
	td     *tdx.Report
	log    attestation.RuntimeLog
	ppid   []byte
	config string
}

func (m machine) derive(t testing.TB) AppInfo {
	t.Helper()
	info, err := m.tryDerive()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func (m machine) tryDerive() (AppInfo, error) {
	config, err := parseVMConfig(m.config)
	if err != nil {
		return AppInfo{}, err
	}
	return deriveAppInfo(m.td, m.log, m.ppid, config)
}

func newMachine(t testing.TB, a *attestation.Attestation) machine {
	t.Helper()
	q, err := tdx.Parse(a.Quote)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := q.PCKCertificates()
	if err != nil {
		t.Fatal(err)
	}
	pck, err := tdx.ParsePCK(chain.Leaf)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.RuntimeEvents.Verify(q.TD.RTMR[3]); err != nil {
		t.Fatal(err)
	}
	if err := checkReportData(&q.TD, a.ReportData); err != nil {
		t.Fatal(err)
	}
	return machine{&q.TD, a.RuntimeEvents, pck.PPID[:], a.Config}
}

// realMachines are those of the samples, by the name of their file.
func realMachines(t *testing.T) map[string]machine {
	t.Helper()
	guest, err := attestation.Parse(fixture(t, "dstack/guest-agent-attestation.bin"))
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Quote      string
		EventLog   string `json:"event_log"`
		ReportData string `json:"report_data"`
		VMConfig   string `json:"vm_config"`
	}
	if err := json.Unmarshal(fixture(t, "dstack/quote-report.json"), &report); err != nil {
		t.Fatal(err)
	}
	quote := make([]byte, len(report.Quote)/2)
	var reportData [64]byte
	if err := errors.Join(parseHex(quote, report.Quote), parseHex(reportData[:], report.ReportData)); err != nil {
		t.Fatal(err)
	}
	legacy, err := attestation.Legacy(quote, reportData, []byte(report.EventLog))
	if err != nil {
		t.Fatal(err)
	}
	legacy.Config = report.VMConfig
	return map[string]machine{
		"guest-agent-attestation.bin": newMachine(t, guest),
		"quote-report.json":           newMachine(t, legacy),
	}
}

func TestRealMachinesHaveTheirAppInfo(t *testing.T) {
	var vectors struct {
		AppInfo map[string]struct {
			Unverified, Boottime map[string]any
			VerifiedDeviceID     string `json:"verified_device_id"`
		} `json:"app_info"`
	}
	if err := json.Unmarshal(fixture(t, "derived/vectors.json"), &vectors); err != nil {
		t.Fatal(err)
	}
	for name, m := range realMachines(t) {
		want, ok := vectors.AppInfo[name]
		if !ok {
			t.Fatalf("no vector for %s", name)
		}
		verified := m.derive(t)
		if got := verified.DeviceID.String(); got != want.VerifiedDeviceID {
			t.Errorf("%s: device %s, want %s", name, got, want.VerifiedDeviceID)
		}
		if form, err := checkMRConfigID(m.td.MRConfigID, &verified, ""); err != nil {
			t.Errorf("%s: form %d, %v", name, form, err)
		}
		m.ppid = nil // as a KMS writes it
		info := m.derive(t)
		if got := asJSON(t, &info); !reflect.DeepEqual(got, want.Unverified) {
			t.Errorf("%s: %v\nwant %v", name, got, want.Unverified)
		}
		if want.Boottime == nil {
			continue
		}
		m.log = m.log.BootTime()
		info = m.derive(t)
		if got := asJSON(t, &info); !reflect.DeepEqual(got, want.Boottime) {
			t.Errorf("%s at boot: %v\nwant %v", name, got, want.Boottime)
		}
	}
}

// synthetic machines agree with the derivation of the kit that made them.
func TestSyntheticMachinesHaveTheirAppInfo(t *testing.T) {
	world := tdxpki.New(2, time.Unix(1_800_000_000, 0))
	for name, g := range map[string]tdxpki.Guest{
		"V0":           {},
		"init scripts": {InitScripts: [][]byte{bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)}},
		"format 2":     {EventV2: true},
		"owner set": {ChangeQuote: func(q *tdxpki.Quote) {
			q.TD.MRConfigID = [48]byte{}
			q.TD.MROwner[47] = 1
		}},
		"nothing set": {ChangeQuote: func(q *tdxpki.Quote) { q.TD.MRConfigID = [48]byte{} }},
	} {
		made := world.Guest(g)
		b := made.Attestation.V1()
		a, err := attestation.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		m := newMachine(t, a)
		if err := checkBinding(m.td, attestation.TagRATLSCert, made.Certificate.Leaf.RawSubjectPublicKeyInfo); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m.ppid = nil
		info := m.derive(t)
		want, err := ParseAppInfo(made.AppInfo.Marshal())
		if err != nil || !reflect.DeepEqual(&info, want) {
			t.Errorf("%s: %+v\nwant %+v (%v)", name, info, want, err)
		}
	}
}

func syntheticMachine() machine {
	log := attestation.RuntimeLog{
		{Name: "app-id", Payload: testApp[:]},
		{Name: "compose-hash", Payload: bytes.Repeat([]byte{1}, 32)},
		{Name: "instance-id", Payload: testInstance[:]},
		{Name: "boot-mr-done"},
		{Name: "os-image-hash", Payload: bytes.Repeat([]byte{5}, 32)},
		{Name: "key-provider", Payload: []byte(`{"name":"none","id":""}`)},
		{Name: "system-ready"},
	}
	return machine{&tdx.Report{MRTD: [48]byte{1}}, log, []byte("ppid"), `{"os_image_hash":"` + strings.Repeat("05", 32) + `"}`}
}

func TestEventsAfterSystemReadyChangeNoID(t *testing.T) {
	m := syntheticMachine()
	want := m.derive(t)
	m.log = append(m.log,
		attestation.RuntimeEvent{Name: "app-id", Payload: otherApp[:]},
		attestation.RuntimeEvent{Name: "key-provider", Payload: []byte("{}")},
		attestation.RuntimeEvent{Name: "init-script-hash", Payload: make([]byte, 32)})
	got := m.derive(t)
	if got.MRAggregated == want.MRAggregated {
		t.Error("mr_aggregated does not see the application's events")
	}
	got.MRAggregated = want.MRAggregated
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSecondAppIDIsNotLookedAt(t *testing.T) {
	m := syntheticMachine()
	m.log = slices.Insert(m.log, 3, attestation.RuntimeEvent{Name: "app-id", Payload: otherApp[:]})
	if got := m.derive(t); got.AppID != testApp {
		t.Errorf("app %s, want the first, %s", got.AppID, testApp)
	}
}

func TestMissingEventsLeaveZeros(t *testing.T) {
	m := syntheticMachine()
	m.log, m.config = nil, ""
	got := m.derive(t)
	if !got.AppID.IsZero() || !got.InstanceID.IsZero() || !got.ComposeHash.IsZero() || !got.OSImageHash.IsZero() || len(got.KeyProviderInfo) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestMalformedEventsAreRefused(t *testing.T) {
	script := attestation.RuntimeEvent{Name: "init-script-hash", Payload: make([]byte, 32)}
	for want, change := range map[string]func(*machine){
		"app-id: 19 bytes, want 20":              func(m *machine) { m.log[0].Payload = make([]byte, 19) },
		"compose-hash: 33 bytes, want 32":        func(m *machine) { m.log[1].Payload = make([]byte, 33) },
		"instance-id: 1 bytes, want 20":          func(m *machine) { m.log[2].Payload = make([]byte, 1) },
		"os-image-hash: 20 bytes, want 32":       func(m *machine) { m.log[4].Payload = make([]byte, 20) },
		"key-provider: 4097 bytes, want at most": func(m *machine) { m.log[5].Payload = make([]byte, 4097) },
		"init-script-hash: 20 bytes, want 32":    func(m *machine) { m.log[3].Name, m.log[3].Payload = "init-script-hash", make([]byte, 20) },
		"6 of init-script-hash, want at most 5":  func(m *machine) { m.log = slices.Insert(m.log, 0, script, script, script, script, script, script) },
	} {
		m := syntheticMachine()
		change(&m)
		_, err := m.tryDerive()
		if !errors.Is(err, ErrEvent) {
			t.Errorf("%s: %v, want %v", want, err, ErrEvent)
			continue
		}
		wantError(t, err, want)
	}
}

func TestConfigOfAnotherImageIsRefused(t *testing.T) {
	m := syntheticMachine()
	m.config = `{"os_image_hash":"` + imageHex + `"}`
	if _, err := m.tryDerive(); !errors.Is(err, ErrOSImage) {
		t.Errorf("%v, want %v", err, ErrOSImage)
	}
	m.log[4].Payload = nil // nobody told the guest
	if got := m.derive(t); got.OSImageHash != imageHash(t) {
		t.Errorf("image %s", got.OSImageHash)
	}
}

// Whatever byte of an attestation a stranger changes, the machine below the
// quote is known as it was, or not at all.
func TestChangedByteOfAnAttestationChangesNoAppInfo(t *testing.T) {
	good := fixture(t, "dstack/guest-agent-attestation.bin")
	m := realMachines(t)["guest-agent-attestation.bin"]
	want := m.derive(t)
	for i := len(fixture(t, "derived/guest-agent.quote.bin")) + 6; i < len(good); i++ { // the quote is for others to verify
		b := bytes.Clone(good)
		b[i] ^= 1
		a, err := attestation.Parse(b)
		if err != nil || a.RuntimeEvents.Verify(m.td.RTMR[3]) != nil || checkReportData(m.td, a.ReportData) != nil {
			continue
		}
		changed := machine{m.td, a.RuntimeEvents, m.ppid, a.Config}
		info, err := changed.tryDerive()
		if err == nil && info.OSImageHash.IsZero() { // the config need not say it
			info.OSImageHash = want.OSImageHash
		}
		if err == nil && !reflect.DeepEqual(info, want) {
			t.Fatalf("byte %d: %+v\nwant %+v", i, info, want)
		}
	}
}

func TestReportDataMustBeTheQuotesAndBindTheKey(t *testing.T) {
	spki := []byte("key")
	td := &tdx.Report{ReportData: attestation.ReportData(attestation.TagRATLSCert, spki)}
	if err := errors.Join(checkReportData(td, td.ReportData), checkBinding(td, attestation.TagRATLSCert, spki)); err != nil {
		t.Error(err)
	}
	if err := checkReportData(td, [64]byte{}); !errors.Is(err, ErrReportData) {
		t.Errorf("%v, want %v", err, ErrReportData)
	}
	if err := checkBinding(td, attestation.TagRATLSCert, []byte("another")); !errors.Is(err, ErrKeyBinding) {
		t.Errorf("%v, want %v", err, ErrKeyBinding)
	}
	td.ReportData = attestation.ReportData(attestation.TagAppData, spki)
	if err := checkBinding(td, attestation.TagRATLSCert, spki); !errors.Is(err, ErrKeyBinding) {
		t.Errorf("of another tag: %v, want %v", err, ErrKeyBinding)
	}
}

// What an attestation costs beside its quote: reading it, the replay, the app info.
func BenchmarkDerive(b *testing.B) {
	made := tdxpki.New(3, time.Unix(1_800_000_000, 0)).Guest(tdxpki.Guest{})
	raw := made.Attestation.Strip().V0()
	a, err := attestation.Parse(raw)
	if err != nil {
		b.Fatal(err)
	}
	m := newMachine(b, a)
	b.ReportAllocs()
	for b.Loop() {
		a, err := attestation.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.RuntimeEvents.Verify(m.td.RTMR[3]); err != nil {
			b.Fatal(err)
		}
		if _, err := m.tryDerive(); err != nil {
			b.Fatal(err)
		}
	}
}
