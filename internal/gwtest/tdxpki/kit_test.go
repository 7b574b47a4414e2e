package tdxpki

import (
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fixture reads a file of real attestation data, which is kept beside the project.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "fixtures", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("real attestation data is missing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// realCollateral is what Intel published for the real quote-report.
func realCollateral(t testing.TB) map[string]string {
	t.Helper()
	var c map[string]string
	readJSON(t, fixture(t, "dcap-qvl/tdx_quote_outdated_collateral.json"), &c)
	return c
}

func readJSON(t testing.TB, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// blocks are the DER certificates of a PEM text.
func blocks(t testing.TB, text []byte) [][]byte {
	t.Helper()
	var all [][]byte
	for b, rest := pem.Decode(text); b != nil; b, rest = pem.Decode(rest) {
		all = append(all, b.Bytes)
	}
	if len(all) == 0 {
		t.Fatal("no certificate")
	}
	return all
}
