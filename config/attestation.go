package config

import (
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// The section [attestation]. Its lists of apps and systems are in a file of their own
// (allow.go), which is read again when it changes.

// Attestation says which hardware evidence is good enough. See rpc.require_quote for
// the guests that must show evidence.
type Attestation struct {
	// TCBStatuses are the states of platforms that are accepted, in Intel's words.
	// Default those that leave nothing to update: UpToDate, SWHardeningNeeded,
	// ConfigurationNeeded, ConfigurationAndSWHardeningNeeded. Revoked is refused.
	TCBStatuses []string `toml:"tcb_statuses"`
	// RefusedAdvisories are advisories, such as INTEL-SA-00615, none of which may be
	// open on a platform. Default none.
	RefusedAdvisories []string `toml:"refused_advisories"`
	// AllowFile lists apps, compose hashes, systems and key providers: see Allow.
	// Default "": all.
	AllowFile string `toml:"allow_file"`
	// MaxAge is how long after its certificate was made evidence counts. Default 0:
	// as long as the certificate is valid.
	MaxAge time.Duration `toml:"max_age"`
	// ReattestInterval is how often each instance's evidence is judged again. Default
	// 24h; 0 only when collateral or policy change.
	ReattestInterval time.Duration `toml:"reattest_interval"`
	// UndecidedFor is how long an instance is served whose evidence cannot be judged again,
	// because collateral cannot be had. Default 24h.
	UndecidedFor time.Duration `toml:"undecided_for"`
	// PCCS are the servers of Intel's collateral, asked in this order. Default Intel's
	// own, then Phala's.
	PCCS []*url.URL `toml:"pccs"`
	// CollateralFile has the collateral instead, in the JSON form of dcap-qvl: for
	// gateways without a network. Default none. Excludes PCCS.
	CollateralFile string `toml:"collateral_file"`
	// InsecureRootCA is the PEM or DER file of a root in place of Intel's, for simulated
	// hardware: with its key, anybody can pose as any CVM. Default none.
	InsecureRootCA string `toml:"insecure_root_ca"`
}

// tcbStatuses are Intel's statuses, except Revoked.
var tcbStatuses = []string{
	"UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded",
	"OutOfDate", "OutOfDateConfigurationNeeded",
}

const (
	acceptedByDefault = 4 // of tcbStatuses
	maxPCCS           = 8
)

func readAttestation(t table, path func(string) (string, error)) Attestation {
	a := Attestation{
		TCBStatuses:       list(t, "tcb_statuses", tcbStatuses[:acceptedByDefault], parseTCBStatus),
		RefusedAdvisories: list(t, "refused_advisories", nil, parseAdvisory),
		AllowFile:         optional(t, "allow_file", orNone(path)),
		MaxAge:            text(t, "max_age", "0s", parseDurationOrNever),
		ReattestInterval:  text(t, "reattest_interval", "24h", parseDurationOrNever),
		UndecidedFor:      t.duration("undecided_for", "24h"),
		PCCS:              list(t, "pccs", []string{"https://api.trustedservices.intel.com", "https://pccs.phala.network"}, parsePCCS),
		CollateralFile:    optional(t, "collateral_file", orNone(path)),
		InsecureRootCA:    optional(t, "insecure_root_ca", orNone(path)),
	}
	if n := len(a.PCCS); n > maxPCCS {
		t.fail("pccs", "has %d members: want at most %d", n, maxPCCS)
	}
	if n := t.get("tcb_statuses"); n != nil && len(n.items) == 0 && !n.bad {
		t.fail("tcb_statuses", "an empty list would refuse all evidence: leave it out for the default")
	}
	if a.CollateralFile != "" && t.has("pccs") {
		t.fail("collateral_file", "conflicts with pccs: remove one of the two")
	}
	return a
}

// LoadAttestation reads the section [attestation] of the file at path, and no other:
// the rest of it may be missing or wrong. The error is Errors, unless the file cannot
// be read.
func LoadAttestation(path string) (*Attestation, error) {
	return loadFile(path, func(root table) *Attestation {
		t := root.sub("attestation")
		a := readAttestation(t, pathIn(filepath.Dir(path)))
		if t.node == nil {
			root.fail("attestation", "is missing: want a section [attestation]")
			return nil
		}
		t.reportUnknown()
		return &a
	})
}

func parseTCBStatus(s string) (string, error) {
	if slices.Contains(tcbStatuses, s) {
		return s, nil
	}
	if s == "Revoked" {
		return "", fmt.Errorf("%s: Intel has revoked such platforms, so they cannot be accepted", show(s))
	}
	return "", fmt.Errorf("%s is not a TCB status: want one of %s", show(s), strings.Join(tcbStatuses, ", "))
}

func parseAdvisory(s string) (string, error) {
	number, ok := strings.CutPrefix(s, "INTEL-SA-")
	if !ok || len(number) < 5 || len(number) > 8 || strings.Trim(number, "0123456789") != "" {
		return "", fmt.Errorf("%s is not an advisory: want one such as \"INTEL-SA-00615\"", show(s))
	}
	return s, nil
}

// parsePCCS reads a server's base URL. What it serves is signed by Intel, so it may
// be reached in the clear: on the way it could be withheld, not forged.
func parsePCCS(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%s is not a PCCS: want a URL such as \"https://pccs.example.com\", without user, query and fragment", show(s))
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// parseBytes reads hex of exactly n bytes.
func parseBytes(n int) func(string) ([]byte, error) {
	return func(s string) ([]byte, error) {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != n {
			return nil, fmt.Errorf("%s: want %d hex digits", show(s), 2*n)
		}
		return b, nil
	}
}
