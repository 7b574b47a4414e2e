package qvl

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/ratls/tdx"
)

// fixtures holds real quotes and collateral: see its README.
const fixtures = "../../../shared/fixtures"

// realTime lies in every window of the real collateral.
func realTime() time.Time { return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC) }

func fixture(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(fixtures, name))
	if os.IsNotExist(err) {
		tb.Skipf("no real attestation data: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func realCollateral(tb testing.TB) *Collateral {
	tb.Helper()
	c, err := ParseCollateral(fixture(tb, "dcap-qvl/tdx_quote_outdated_collateral.json"))
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func realQuote(tb testing.TB, name string) *tdx.Quote {
	tb.Helper()
	q, err := tdx.Parse(fixture(tb, name))
	if err != nil {
		tb.Fatal(err)
	}
	return q
}

func TestRealPlatformIsUpToDate(t *testing.T) {
	q := realQuote(t, "derived/quote-report.quote.bin")
	r, err := Verify(q, realCollateral(t), realTime(), IntelRoot())
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != UpToDate || len(r.Advisories) != 0 || r.EvaluationNumber != 18 {
		t.Errorf("%s, advisories %v, evaluation %d", r.Status, r.Advisories, r.EvaluationNumber)
	}
	date := time.Date(2024, 11, 13, 0, 0, 0, 0, time.UTC)
	for name, l := range map[string]Level{"platform": r.Platform, "module": r.Module, "QE": r.QE} {
		if l.Status != UpToDate || !l.Date.Equal(date) {
			t.Errorf("%s: %s", name, l)
		}
	}
	if hex.EncodeToString(r.FMSPC[:]) != "90c06f000000" {
		t.Errorf("FMSPC %x", r.FMSPC)
	}
	if want := time.Date(2026, 3, 20, 10, 41, 15, 0, time.UTC); !r.Expires.Equal(want) { // the PCK CRL is the first
		t.Errorf("expires %s, want %s", r.Expires, want)
	}
	if want := deviceID(t, "quote-report.json"); hex.EncodeToString(r.DeviceID[:]) != want {
		t.Errorf("device id %x, want %s", r.DeviceID, want)
	}
}

// deviceID is what was computed for a sample elsewhere.
func deviceID(t *testing.T, sample string) string {
	t.Helper()
	var v struct {
		Samples map[string]struct {
			DeviceID string `json:"verified_device_id"`
		} `json:"app_info"`
	}
	if err := json.Unmarshal(fixture(t, "derived/vectors.json"), &v); err != nil {
		t.Fatal(err)
	}
	return v.Samples[sample].DeviceID
}

func TestRealQuotesThatDoNotPass(t *testing.T) {
	for _, c := range []struct {
		name, quote string
		at          time.Time
		rule, want  string
	}{
		{"before the collateral", "quote-report", time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), "TCB info window", "not valid yet"},
		{"after the collateral", "quote-report", time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC), "PCK CRL window", "expired"},
		{"after the root CRL", "quote-report", time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC), "root CRL window", "expired"},
		{"collateral of another FMSPC", "guest-agent", realTime(), "FMSPC", "is b0c06f000000, want 90c06f000000"},
		{"before the PCK certificate", "guest-agent", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "PCK certificates", "not valid before 2026-01-09"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Verify(realQuote(t, "derived/"+c.quote+".quote.bin"), realCollateral(t), c.at, IntelRoot())
			if err == nil {
				t.Fatal("passes")
			}
			if broken := stepOf(r, c.rule).Err; broken == nil || !strings.Contains(broken.Error(), c.want) {
				t.Errorf("%s: %v, want %q", c.rule, broken, c.want)
			}
			if r.Status != 0 || r.Expires != (time.Time{}) {
				t.Errorf("a verdict with an error: %+v", r)
			}
		})
	}
}

func TestBuiltInRootIsIntels(t *testing.T) {
	if !bytes.Equal(IntelRoot().Raw, fixture(t, "dcap-qvl/TrustedRootCA.der")) {
		t.Error("another certificate")
	}
}
