package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	guesttest "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

// fixtures are real evidence, kept beside the project.
func fixtures(t *testing.T, names ...string) (paths []string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join("..", "..", "..", "..", "shared", "fixtures", name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs the real evidence in shared/fixtures, beside the project: %v", err)
		}
		paths = append(paths, path)
	}
	return paths
}

// A machine of dstack's, and what Intel said of it in February of 2026.
func TestReportOfARealMachine(t *testing.T) {
	files := fixtures(t, "dstack/quote-report.json", "dcap-qvl/tdx_quote_outdated_collateral.json")
	gwtest.EndAtOnce(t)
	code, out, stderr := gwtest.Outcome(t, "verify", "--collateral", files[1], "--at", "2026-03-01T00:00:00Z", files[0])
	if code != 3 || stderr != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	at := 0
	for line := range strings.Lines(`
✓ quote                          Intel TDX, version 4
✓ root CRL                       Intel SGX Root CA, 0 revoked
✓ PCK CRL                        Intel SGX PCK Platform CA, 57 revoked
✓ TCB info                       TDX version 3, FMSPC 90C06F000000, evaluation 18, 3 levels
✓ PCK CRL window                 2026-02-18T10:41:15Z … 2026-03-20T10:41:15Z
✓ PCK certificate revocation     ba81573b2aff1b22e4df2ec41a18e65e80419d43
✓ QE report signature
✓ quote signature                version 4
✓ TCB status                     UpToDate, evaluation 18
✓ event log                      RTMR3 0f787c3877f3e95095d5a4d13dd0fe0233803b30120d8469866719dc28f519ce021fe1e53459121e7a5a4443147185a8
✓ policy: TCB status             UpToDate
– key binding                    none, because there is no certificate: anybody can show this evidence
– system                         any is accepted, because none is named; the app is only as certain as the system that names it
– app                            any is accepted; name the one you expect by --app, or list it in the policy

UNPROVEN: the hardware is genuine (UpToDate, good until 2026-03-20T10:41:15Z), but nothing that was checked identifies the
  app             3763bc34552cf3a27ff71ad5f7a90471562a1a2d
  instance        c3714eb66990eace777b4e664c16e09375dec4c9
  compose hash    3763bc34552cf3a27ff71ad5f7a90471562a1a2df552dfc1998cba2d60da27e7
  key provider    local-sgx 1b7a49378403249b6986a907844cab0921eca32dd47e657f3c10311ccaeccf8b
  advisories      none
  MRTD            b24d3b24e9e3c16012376b52362ca09856c4adecb709d5fac33addf1c47e193da075b125b6c364115771390a5461e217
`) {
		next := strings.Index(out[at:], line)
		if next < 0 {
			t.Errorf("missing, or not in its place: %s", line)
			continue
		}
		at += next
	}
	if t.Failed() {
		t.Log(out)
	}
}

// Months later the same documents prove nothing: that is no fault of the machine's.
func TestRealMachineIsUndecidedByOldDocuments(t *testing.T) {
	files := fixtures(t, "dstack/quote-report.json", "dcap-qvl/tdx_quote_outdated_collateral.json")
	gwtest.EndAtOnce(t)
	code, out, _ := gwtest.Outcome(t, "verify", "--collateral", files[1], "--at", "2026-11-01T00:00:00Z", files[0])
	if code != 4 || !strings.Contains(out, "✗ PCK CRL window                 2026-02-18T10:41:15Z … 2026-03-20T10:41:15Z: has expired at 2026-11-01T00:00:00Z\n") ||
		!strings.Contains(out, "\nUNDECIDED: ") || !strings.Contains(out, "; 4 steps fail in total\n") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

// The other makers' evidence is known by name.
func TestEvidenceOfOtherHardwareIsRefusedByName(t *testing.T) {
	files := fixtures(t, "dstack/sev_snp_attestation.bin", "dstack/nitro_attestation.bin")
	v := newVerification(t)
	v.wantRefused(files[:1], "REFUSED: attestation: AMD SEV-SNP evidence is not supported yet, only Intel TDX\n")
	v.wantRefused(files[1:], "REFUSED: attestation: AWS Nitro enclave evidence is not supported yet, only Intel TDX\n")
}

// A real quote of 2023 whose TD was set up so that its host may take pages away unnoticed
// (SEPT_VE_DISABLE is not set).
func TestRealQuoteOfAnUnsafeTrustDomainIsRefused(t *testing.T) {
	chain := func(header map[string][]string) []byte {
		for _, values := range header {
			if text, err := url.PathUnescape(values[0]); err == nil {
				return []byte(text)
			}
		}
		t.Fatal("no chain")
		return nil
	}
	signed := func(body []byte, member string) (doc, signature []byte) {
		var answer map[string]json.RawMessage
		var digits string
		if err := errors.Join(json.Unmarshal(body, &answer), json.Unmarshal(answer["signature"], &digits)); err != nil {
			t.Fatal(err)
		}
		return answer[member], unhexed(digits)
	}
	docs := tdxpki.Documents{
		TCBInfoChain: chain(guesttest.TcbInfoHeader), QEIdentityChain: chain(guesttest.QeIdentityHeader), PCKCRLChain: chain(guesttest.PckCrlHeader),
		PCKCRL: testdata.PckCrlBody, RootCRL: testdata.RootCrlBody,
	}
	docs.TCBInfo, docs.TCBInfoSignature = signed(testdata.TcbInfoBody, "tcbInfo")
	docs.QEIdentity, docs.QEIdentitySignature = signed(testdata.QeIdentityBody, "enclaveIdentity")

	v := newVerification(t)
	v.write("policy.toml", []byte("[attestation]\n")) // Intel's own root
	v.wantRefused([]string{
		v.write("quote", testdata.RawQuote), "--collateral", v.write("intel.json", docs.File()), "--at", "2023-07-01T00:00:00Z",
	}, "✓ quote signature", "✗ trust domain", "SEPT_VE_DISABLE")
}

func TestReportInJSON(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	file, app := v.write("good.der", m.Certificate.Certificate[0]), hex.EncodeToString(m.AppInfo.AppID)
	r := v.json(file)
	if !r.Verified || r.Undecided || r.Error != "" || r.Verdict == nil || len(r.NotChecked) != 2 || !strings.HasPrefix(r.Subject, file) {
		t.Fatalf("%+v", r)
	}
	for _, s := range r.Steps {
		if s.Name == "" || !s.OK || s.Error != "" {
			t.Errorf("%+v", s)
		}
	}
	d := r.Verdict
	if d.Status != "UpToDate" || d.Advisories == nil || d.AppInfo.AppID != app || d.Measurements["rtmr3"] != hex.EncodeToString(m.Attestation.Quote[520:568]) || len(d.Measurements) != 5 {
		t.Errorf("%+v", d)
	}

	r = v.json(file, "--app", strings.Repeat("ee", 20))
	if last := r.Steps[len(r.Steps)-2]; r.Verified || r.Undecided || r.Verdict == nil || last.OK || r.Error != last.Name+": "+last.Error {
		t.Errorf("another app: %+v", r)
	}
	r = v.json(v.write("cut", m.Quote[:600]))
	if r.Verified || r.Undecided || r.Verdict != nil || r.Error == "" {
		t.Errorf("a cut quote: %+v", r)
	}
	r = v.json(file, "--at", v.world.Now.AddDate(0, 0, 400).Format(time.RFC3339))
	if r.Verified || !r.Undecided || r.Verdict != nil {
		t.Errorf("too late: %+v", r)
	}
}

// scripted is what scripts read of a report.
type scripted struct {
	Subject   string
	Verified  bool
	Undecided bool
	Unproven  bool
	KnownBy   []string `json:"system_known_by"`
	Error     string
	Steps     []struct {
		Name, Value, Error string
		OK                 bool
	}
	NotChecked []string `json:"not_checked"`
	Verdict    *struct {
		Status     string `json:"tcb_status"`
		Advisories []string
		AppInfo    struct {
			AppID string `json:"app_id"`
		} `json:"app_info"`
		Measurements map[string]string
	}
}

func (v *verification) json(args ...string) (r scripted) {
	v.t.Helper()
	out, err := v.verify(append(args, "--json")...)
	d := json.NewDecoder(bytes.NewReader([]byte(out)))
	if derr := d.Decode(&r); derr != nil || d.More() || (err == nil) != r.Verified || err != nil && !errors.Is(err, cli.ErrReported) {
		v.t.Fatalf("%v, %v\n%s", err, derr, out)
	}
	return r
}
