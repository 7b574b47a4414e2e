package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

func TestVerifyExitCodesTellUsageFromFailure(t *testing.T) {
	gwtest.EndAtOnce(t)
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	good := v.write("good.der", m.Certificate.Certificate[0])
	collateral := v.dir + "/collateral.json"
	app := hex.EncodeToString(m.AppInfo.AppID)
	for name, test := range map[string]struct {
		args []string
		code int
		says string // on standard error
	}{
		"good":             {v.args(good), 0, ""},
		"app":              {v.args(good, "--app", strings.ToUpper(app)), 0, ""},
		"another app":      {v.args(good, "--app", strings.Repeat("ee", 20)), 1, ""},
		"system not known": {v.unknown(good), 3, ""},
		"undecided":        {v.args(good, "--at", v.world.Now.AddDate(0, 0, 400).Format(time.RFC3339)), 4, ""},
		"of another Intel": {[]string{"verify", "--collateral", collateral, good}, 1, ""},

		"nothing":          {[]string{"verify"}, 2, "0 arguments: want a host"},
		"two":              {v.args(good, good), 2, "2 arguments: want a host"},
		"empty":            {v.args(""), 2, "verify: want a host, a file, or - for standard input"},
		"bad flag":         {v.args("--no", good), 2, "unknown flag: --no"},
		"bad app":          {v.args(good, "--app", "xyz"), 2, "--app: "},
		"bad instance":     {v.args(good, "--instance", app[2:]), 2, "--instance: "},
		"bad system":       {v.args(good, "--measurement", "mrtd=00"), 2, "--measurement: mrtd: want 96 hex digits"},
		"part of a system": {v.args(good, "--measurement", "mrtd="+strings.Repeat("00", 48)), 2, "--measurement: mrtd, rtmr1 and rtmr2 are needed"},
		"no root":          {v.args(good, "--root", v.dir+"/none"), 1, "--root: open " + v.dir + "/none: no such file"},
		"root of nothing":  {v.args(good, "--root", v.write("empty.pem", nil)), 1, "/empty.pem: has no certificate"},
		"bad time":         {v.args(good, "--at", "yesterday"), 2, `--at "yesterday": want a time such as 2026-03-01T00:00:00Z`},
		"no collateral":    {v.args(good, "--collateral", v.dir+"/none"), 1, "--collateral: open " + v.dir + "/none: no such file"},
		"bad collateral":   {v.args(good, "--collateral", good), 1, "--collateral: " + good + ": "},
		"no policy":        {[]string{"verify", "--policy", v.dir + "/none", good}, 1, "--policy: config: open " + v.dir + "/none: no such file"},
		"policy of no ==":  {[]string{"verify", "--policy", v.write("broken.toml", []byte("[attestation]\npccs\n")), good}, 1, "/broken.toml:2:5: "},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := gwtest.Outcome(t, test.args...)
			if code != test.code || !strings.Contains(stderr, test.says) || test.says == "" && stderr != "" || (stdout == "") != (test.says != "") {
				t.Errorf("exit code %d, want %d; it prints\n%sand says %q, want %q", code, test.code, stdout, stderr, test.says)
			}
		})
	}
}

// A whole gateway.toml is a policy, as is a file of nothing else.
func TestPolicyIsTheSectionOfAnyConfiguration(t *testing.T) {
	v := newVerification(t)
	good := v.write("good.der", v.world.Guest(tdxpki.Guest{}).Certificate.Certificate[0])
	section := "[attestation]\ninsecure_root_ca = \"intel.pem\"\ncollateral_file = \"collateral.json\"\n"
	v.write("policy.toml", []byte("[[domain]]\nname = \"gw.test\"\n[proxy]\nlisten = [\"0.0.0.0:443\"]\n"+section+"[log]\nlevel = \"info\"\n"))
	v.wantVerified([]string{good})

	for text, says := range map[string]string{
		"[proxy]\n": "attestation: is missing: want a section [attestation]",
		"[attestation]\ntcb_statuses = [\"Fine\"]\n":                             `policy.toml:2:17: attestation.tcb_statuses: "Fine" is not a TCB status`,
		"[attestation]\nallowfile = \"x\"\n":                                     "policy.toml:2:1: attestation.allowfile: ",
		"[attestation]\nallow_file = \"none.toml\"\n":                            "allow_file: open " + v.dir + "/none.toml: no such file",
		"[attestation]\ncollateral_file = \"none.json\"\n":                       "none.json: no such file",
		strings.Replace(section, "intel.pem", "policy.toml", 1):                  "insecure_root_ca: ",
		strings.Replace(section, "collateral.json", "policy.toml", 1):            "collateral_file: ",
		strings.Replace(section, "[attestation]", "[attestation]\n[attested", 1): "policy.toml:2:",
	} {
		v.write("policy.toml", []byte(text))
		v.wantError([]string{good}, says)
	}
}

func TestPolicyIsApplied(t *testing.T) {
	v := newVerification(t)
	v.world.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNSWHardeningNeeded })
	m := v.world.Guest(tdxpki.Guest{})
	good := v.write("good.der", m.Certificate.Certificate[0])
	from := `collateral_file = "collateral.json"`
	mrtd := fmt.Sprintf("%x", v.world.Quote().TD.MRTD)
	app := hex.EncodeToString(m.AppInfo.AppID)

	v.policy(from)
	out, err := v.verify(good)
	if err != nil {
		t.Error(err)
	}
	v.wantWords(out, []string{
		"\nVERIFIED: SWHardeningNeeded, good until ", "  advisories      INTEL-SA-00615\n",
		"– app                            any is accepted", "– hardware                       the policy's insecure_root_ca",
	})

	v.write("allow.toml", fmt.Appendf(nil, "apps = [%q]\n[[measurement]]\nmrtd = %q\n", app, mrtd))
	v.policy(from, `allow_file = "allow.toml"`)
	out, err = v.verify(good)
	if err != nil || strings.Contains(out, "any is accepted") {
		t.Errorf("%v\n%s", err, out)
	}
	v.wantWords(out, []string{"✓ policy: app ", "✓ policy: measurements "})

	v.policy(from, `tcb_statuses = ["UpToDate"]`)
	v.wantRefused([]string{good}, "✗ policy: TCB status             refused: TCB status SWHardeningNeeded\n", "\nREFUSED by policy: TCB status SWHardeningNeeded\n")
	v.policy(from, `refused_advisories = ["INTEL-SA-00615"]`)
	v.wantRefused([]string{good}, "\nREFUSED by policy: open to INTEL-SA-00615")
	v.write("allow.toml", []byte("apps = [\""+strings.Repeat("ee", 20)+"\"]\n"))
	v.policy(from, `allow_file = "allow.toml"`)
	v.wantRefused([]string{good}, "✗ policy: app ", "\nREFUSED by policy: app is not on the list: "+app)
}

// Each list of the allow file reaches the judge, and so does max_age.
func TestEachRuleOfThePolicyDecides(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	good, td := v.write("good.der", m.Certificate.Certificate[0]), v.world.Quote().TD
	out, _ := v.verify(good, "--json")
	var report struct {
		Verdict struct {
			KeyProvider  string `json:"key_provider"`
			OSImage      string `json:"os_image"`
			Measurements map[string]string
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	is := report.Verdict
	list := func(key string) string { return key + " = [%q]\n" }
	measured := func(register string) string {
		return fmt.Sprintf("[[measurement]]\nmrtd = \"%x\"\n%s = %%q\n", td.MRTD, register)
	}
	for _, rule := range []struct{ step, line, right string }{
		{"compose hash", list("compose_hashes"), hex.EncodeToString(m.AppInfo.ComposeHash)},
		{"OS image", list("os_images"), is.OSImage},
		{"key provider", list("key_providers"), strings.TrimPrefix(is.KeyProvider, "kms ")},
		{"measurements", measured("rtmr0"), is.Measurements["rtmr0"]},
		{"measurements", measured("rtmr1"), is.Measurements["rtmr1"]},
		{"measurements", measured("rtmr2"), is.Measurements["rtmr2"]},
	} {
		v.policy(`collateral_file = "collateral.json"`, `allow_file = "allow.toml"`)
		v.write("allow.toml", fmt.Appendf(nil, rule.line, rule.right))
		v.wantVerified([]string{good}, "✓ policy: "+rule.step)
		v.write("allow.toml", fmt.Appendf(nil, rule.line, "ee"+rule.right[2:]))
		v.wantRefused([]string{good}, "✗ policy: "+rule.step, "\nREFUSED by policy: "+rule.step)
	}
	v.policy(`collateral_file = "collateral.json"`, `max_age = "25h"`) // it is a day old
	v.wantVerified([]string{good})
	v.policy(`collateral_file = "collateral.json"`, `max_age = "23h"`)
	v.wantRefused([]string{good}, "✗ policy: age", "\nREFUSED by policy: ")
}

func TestItMustBeTheAppAndInstanceAskedFor(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	good, quote := v.write("good.der", m.Certificate.Certificate[0]), v.write("quote", m.Quote)
	app, instance, other := hex.EncodeToString(m.AppInfo.AppID), hex.EncodeToString(m.AppInfo.InstanceID), strings.Repeat("ee", 20)
	v.wantVerified([]string{good, "--app", app, "--instance", instance}, "✓ app is the one asked for       "+app, "✓ instance is the one asked for  "+instance)
	v.wantRefused([]string{good, "--app", other}, "✗ app is the one asked for ", "REFUSED: app is the one asked for: is app "+app+", want "+other)
	v.wantRefused([]string{good, "--app", app, "--instance", other}, "REFUSED: instance is the one asked for: is instance "+instance+", want "+other)
	v.wantRefused([]string{quote, "--app", app}, "REFUSED: app is the one asked for: the evidence names no app, want "+app)
}

// Good evidence does not make true what else its certificate says.
func TestCertificateMustAgreeWithItsEvidence(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{ChangeCertificate: func(c *tdxpki.Certificate) { c.AppID = make([]byte, 20); c.AppID[0] = 1 }})
	v.wantRefused([]string{v.write("liar.der", m.Certificate.Certificate[0])},
		"✓ key binding", "✗ certificate ", "certificate is of app 01"+strings.Repeat("00", 19)+", its evidence of "+hex.EncodeToString(m.AppInfo.AppID))
}

func TestVerifyJudgesAsOfATime(t *testing.T) {
	v := newVerification(t)
	m := v.world.Guest(tdxpki.Guest{})
	at := func(days int) string { return v.world.Now.AddDate(0, 0, days).Format(time.RFC3339) }
	v.wantVerified([]string{v.write("quote", m.Quote), "--at", at(12)})
	v.wantRefused([]string{v.write("good.der", m.Certificate.Certificate[0]), "--at", at(12)}, "✗ certificate ", "REFUSED: certificate: is not valid at "+at(12))
	v.wantUndecided("has expired at "+at(400), v.write("quote", m.Quote), "--at", at(400))
}

// wantUndecided checks that nobody can judge, and that the report says so and what to do.
func (v *verification) wantUndecided(words string, args ...string) {
	v.t.Helper()
	out, err := v.verify(args...)
	if !errors.Is(err, cli.ErrReported) || strings.Contains(out, "REFUSED") || strings.Contains(out, "VERIFIED") {
		v.t.Errorf("%v\n%s", err, out)
	}
	v.wantWords(out, []string{"\nUNDECIDED: ", words, "read from the file of --collateral.\n"})
}

func TestCollateralIsFetchedFromThePolicysServers(t *testing.T) {
	v := newVerification(t)
	pccs := v.world.PCCS(tdxpki.Dialect{})
	server := httptest.NewServer(pccs)
	defer server.Close()
	quote := v.write("quote", v.world.Guest(tdxpki.Guest{}).Quote)
	v.policy(fmt.Sprintf("pccs = [%q]", server.URL))
	v.wantVerified([]string{quote})
	if pccs.Requests(tdxpki.TCBInfoDocument) != 1 {
		t.Error("it was not asked")
	}
	v.wantVerified([]string{quote, "--collateral", v.dir + "/collateral.json"})
	if pccs.Requests(tdxpki.TCBInfoDocument) != 1 {
		t.Error("it was asked, though there is a file")
	}
	pccs.Instead(tdxpki.TCBInfoDocument, tdxpki.Status(http.StatusBadGateway))
	v.wantUndecided(server.URL, quote)
}
