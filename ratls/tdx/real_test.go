package tdx

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/testing/testdata"
)

// Quotes of real machines. Their platforms' facts were read by other programs.

type realQuote struct {
	name    string
	raw     []byte
	version int
	facts   facts
}

type facts struct {
	fmspc, cpusvn string
	pcesvn        uint16
	notBefore     string
	teeTCBSVN     string // begins so
	qeSVN         uint16
}

func realQuotes(t testing.TB) []realQuote {
	t.Helper()
	return append(bundledQuotes(),
		realQuote{
			"guest-agent", fixture(t, "derived/guest-agent.quote.bin"), 4,
			facts{"b0c06f000000", "04040202040100050000000000000000", 11, "2026-01-09", "0b0104", 6},
		},
		realQuote{
			"quote-report", fixture(t, "derived/quote-report.quote.bin"), 4,
			facts{"90c06f000000", "04040202040100050000000000000000", 13, "2025-09-16", "0b0104", 6},
		},
		realQuote{
			"quote-report.json", quoteOfReport(t), 4,
			facts{"90c06f000000", "04040202040100050000000000000000", 13, "2025-09-16", "0b0104", 6},
		},
		realQuote{
			"ra-tls", fixture(t, "dstack/ra-tls-tdx_quote.bin"), 4,
			facts{"b0c06f000000", "02020202030100030000000000000000", 11, "2024-08-02", "050102", 6},
		},
	)
}

// bundledQuotes come with go-tdx-guest: always there.
func bundledQuotes() []realQuote {
	return []realQuote{
		{
			"go-tdx-guest v4", testdata.RawQuote, 4,
			facts{"50806f000000", "03030202020100020000000000000000", 11, "2022-09-20", "030004", 4},
		},
		{
			"go-tdx-guest v5", testdata.RawQuoteV5, 5,
			facts{"90c06f000000", "04040202040100050000000000000000", 13, "2026-01-27", "0b0104", 7},
		},
	}
}

func quoteOfReport(t testing.TB) []byte {
	t.Helper()
	var report struct{ Quote string }
	if err := json.Unmarshal(fixture(t, "dstack/quote-report.json"), &report); err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(report.Quote)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// fixture reads a file of real attestation data, which is kept beside the project.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "fixtures", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("real attestation data is missing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// realRoot is Intel's root, which every real quote brings along.
func realRoot(t testing.TB) *x509.Certificate {
	t.Helper()
	chain, err := parse(t, testdata.RawQuoteV5).PCKCertificates()
	if err != nil {
		t.Fatal(err)
	}
	return chain.Root
}

func TestRootOfRealQuotesIsIntels(t *testing.T) {
	want, err := x509.ParseCertificate(fixture(t, "dcap-qvl/TrustedRootCA.der"))
	if err != nil {
		t.Fatal(err)
	}
	if !realRoot(t).Equal(want) {
		t.Error("the quotes' root is another one")
	}
}

func TestRealQuotesVerify(t *testing.T) {
	root := realRoot(t)
	for _, c := range realQuotes(t) {
		q, err := Parse(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		begins, err := time.Parse(time.DateOnly, c.facts.notBefore)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyAll(q, root, begins.AddDate(1, 0, 0)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRealTDsAreClosed(t *testing.T) {
	for _, c := range realQuotes(t) {
		q := parse(t, c.raw)
		if c.name == "go-tdx-guest v4" { // of 2022, and not of dstack
			wantError(t, q.TD.CheckAttributes(), "SEPT_VE_DISABLE")
			continue
		}
		if err := q.TD.CheckAttributes(); err != nil || q.TD.TDAttributes != AttributeSeptVEDisable {
			t.Errorf("%s: attributes %#x: %v", c.name, q.TD.TDAttributes, err)
		}
	}
}

func TestFactsOfRealQuotes(t *testing.T) {
	for _, c := range realQuotes(t) {
		q := parse(t, c.raw)
		chain, err := q.PCKCertificates()
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePCK(chain.Leaf)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := facts{
			hex.EncodeToString(p.FMSPC[:]), hex.EncodeToString(p.CPUSVN[:]), p.PCESVN,
			chain.Leaf.NotBefore.Format(time.DateOnly), hex.EncodeToString(q.TD.TEETCBSVN[:len(c.facts.teeTCBSVN)/2]), q.QE.ISVSVN,
		}
		if got != c.facts {
			t.Errorf("%s: %+v\nwant %+v", c.name, got, c.facts)
		}
		if q.Version != c.version || q.TD.HasService != (c.version == 5) {
			t.Errorf("%s: version %d, TDX 1.5 %t", c.name, q.Version, q.TD.HasService)
		}
		if p.CA != Platform || p.PCEID != [2]byte{} || p.PPID == [16]byte{} || p.TCBComponents != p.CPUSVN {
			t.Errorf("%s: %s CA, PCE-ID %x, PPID %x, components %x", c.name, p.CA, p.PCEID, p.PPID, p.TCBComponents)
		}
	}
}

// validFrom is a time at which the quote's certificates are good: a day after the
// platform's begins.
func (q *Quote) validFrom(t testing.TB) time.Time {
	t.Helper()
	chain, err := q.PCKCertificates()
	if err != nil {
		t.Fatal(err)
	}
	return chain.Leaf.NotBefore.AddDate(0, 0, 1)
}
