package ratls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// An app info with something in each field, and the ids of its parts.
var (
	testApp      = AppID{0xde, 0xad, 19: 1}
	testInstance = InstanceID{0xbe, 0xef, 19: 2}
	otherApp     = AppID{0xaa, 19: 3}
)

func testInfo() *AppInfo {
	return &AppInfo{
		AppID: testApp, InstanceID: testInstance,
		ComposeHash: Hash{1}, DeviceID: Hash{2}, MRSystem: Hash{3}, MRAggregated: Hash{4}, OSImageHash: Hash{5},
		KeyProviderInfo:  Bytes(`{"name":"kms"}`),
		InitScriptHashes: []Hash{{6}, {7}},
	}
}

func newAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t testing.TB, a *Authority, r Request) tls.Certificate {
	t.Helper()
	c, err := a.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verified is the chain of a client's certificate as a TLS server has it.
func verified(t testing.TB, a *Authority, c tls.Certificate) []*x509.Certificate {
	t.Helper()
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(a.Root())
	for _, der := range c.Certificate[1:] {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		between.AddCert(ca)
	}
	chains, err := c.Leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		t.Fatal(err)
	}
	return chains[0]
}

// extension wraps a payload as a certificate holds it.
func extension(arc int, payload []byte) pkix.Extension {
	return pkix.Extension{Id: oid(arc), Value: octetString(payload)}
}

// A fakeAppraiser gives one answer, and keeps what it was asked.
type fakeAppraiser struct {
	verdict Verdict
	err     error
	asked   []Evidence
}

var _ Appraiser = (*fakeAppraiser)(nil)

func (v *fakeAppraiser) Appraise(_ context.Context, e Evidence) (*Verdict, error) {
	v.asked = append(v.asked, e)
	return &v.verdict, v.err
}

// wantError checks that err says want, and no guest comes back with evidence
// because of an error that does not ask for it.
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v, want %q", err, want)
	}
	if strings.Contains(err.Error(), "no attestation provided") != errors.Is(err, ErrNoAttestation) {
		t.Fatalf("error %q asks for evidence in words or in kind, but not in both", err)
	}
}

// fixture reads a file of real attestation data, which is kept beside the project.
func fixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "fixtures", name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("real attestation data is missing: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// allocated is how many bytes of heap a call of f takes.
func allocated(f func()) uint64 {
	const runs = 10
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}
