package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAttestationProblems(t *testing.T) {
	section := func(s string) string { return "[attestation]\n" + s }
	checkProblems(t, []problemCase{
		{name: "statuses", file: section(`tcb_statuses = ["Revoked", "uptodate"]`), want: []string{
			`f:6:17: attestation.tcb_statuses: "Revoked": Intel has revoked such platforms, so they cannot be accepted`,
			`f:6:28: attestation.tcb_statuses: "uptodate" is not a TCB status: want one of UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate, OutOfDateConfigurationNeeded`,
		}},
		{name: "no status", file: section(`tcb_statuses = []`), want: []string{
			`f:6:1: attestation.tcb_statuses: an empty list would refuse all evidence: leave it out for the default`,
		}},
		{name: "advisories", file: section(`refused_advisories = ["INTEL-SA-1", "CVE-2024-0001"]`), want: []string{
			`f:6:23: attestation.refused_advisories: "INTEL-SA-1" is not an advisory: want one such as "INTEL-SA-00615"`,
			`f:6:37: attestation.refused_advisories: "CVE-2024-0001" is not an advisory: want one such as "INTEL-SA-00615"`,
		}},
		{name: "servers", file: section(`pccs = ["pccs.example.com", "https://x.example/?a=1"]`), want: []string{
			`f:6:9: attestation.pccs: "pccs.example.com" is not a PCCS: want a URL such as "https://pccs.example.com", without user, query and fragment`,
			`f:6:29: attestation.pccs: "https://x.example/?a=1" is not a PCCS: want a URL such as "https://pccs.example.com", without user, query and fragment`,
		}},
		{name: "too many servers", file: section(`pccs = [` + strings.Repeat(`"https://x.example",`, maxPCCS+1) + `]`), want: []string{
			`f:6:1: attestation.pccs: has 9 members: want at most 8`,
		}},
		{name: "file and servers", file: section("collateral_file = \"c\"\npccs = [\"https://x.example\"]"), want: []string{
			`f:6:1: attestation.collateral_file: conflicts with pccs: remove one of the two`,
		}},
	})
}

func TestAttestationIsReadFromAFileWithoutTheRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.toml")
	write(t, path, "[attestation]\nallow_file = \"allow.toml\"\n[proxy]\nlisten = 5\n")
	a, err := LoadAttestation(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(path), "allow.toml"); a.AllowFile != want || len(a.TCBStatuses) != acceptedByDefault {
		t.Errorf("have %+v", a)
	}
	for text, want := range map[string]string{
		"[proxy]\n":                   ":1:1: attestation: is missing: want a section [attestation]",
		"[attestation]\npccss = []\n": `:2:1: attestation.pccss: unknown key; did you mean "pccs"?`,
	} {
		write(t, path, text)
		if _, err := LoadAttestation(path); err == nil || err.Error() != path+want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestAllowFileIsRead(t *testing.T) {
	have, err := ParseAllow("f", []byte(`
apps = ["`+strings.Repeat("0a", 20)+`"]
os_images = ["`+strings.Repeat("0b", 32)+`"]
key_providers = ["30"]
[[measurement]]
mrtd = "`+strings.Repeat("0c", 48)+`"
[[measurement]]
rtmr2 = "`+strings.Repeat("0D", 48)+`"
`))
	if err != nil {
		t.Fatal(err)
	}
	repeat := func(b byte, n int) []byte { return []byte(strings.Repeat(string(rune(b)), n)) }
	want := &Allow{
		Apps: [][]byte{repeat(10, 20)}, OSImages: [][]byte{repeat(11, 32)}, KeyProviders: [][]byte{{0x30}},
		Measurements: []AllowedMeasurement{{MRTD: repeat(12, 48)}, {RTMR2: repeat(13, 48)}},
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

func TestAllowFileProblems(t *testing.T) {
	for text, want := range map[string]string{
		"apps = []":                       `:1:1: apps: is empty: leave it out to allow all`,
		`compose_hashes = ["0a"]`:         `:1:19: compose_hashes: "0a": want 64 hex digits`,
		`key_providers = [""]`:            `:1:18: key_providers: "" is not the id of a key provider: want hex; for a KMS, its root's public key in DER`,
		"[[measurement]]":                 `:1:3: measurement.mrtd: a measurement without a register would allow every system: want one or more of mrtd, rtmr0, rtmr1 and rtmr2`,
		"[[measurement]]\nrtmr3 = \"\"\n": `:1:3: measurement.mrtd: a measurement without a register`,
		"app = [\"\"]":                    `:1:1: app: unknown key; did you mean "apps"?`,
	} {
		if _, err := ParseAllow("f", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), "f"+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
