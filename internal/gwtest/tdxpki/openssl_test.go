package tdxpki

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// OpenSSL checks each chain with its revocation lists, as of the world's time.
func TestOpenSSLVerifiesChainsAndLists(t *testing.T) {
	p := New(1, now)
	dir, at := t.TempDir(), strconv.FormatInt(p.Now.Unix(), 10)
	roots := file(t, dir, "root.pem", PEM(p.Root))
	between := file(t, dir, "between.pem", PEM(p.Platform, p.Processor))
	root := file(t, dir, "root.crl", p.RootCRL().Sign())
	leaf := file(t, dir, "leaf.pem", PEM(p.Leaf))
	signing := file(t, dir, "signing.pem", PEM(p.TCBSigning))

	for name, list := range map[string]CRL{"good": p.PCKCRL(p.Platform), "revoking": p.PCKCRL(p.Platform).Revoke(p.Leaf)} {
		der := file(t, dir, name+".crl", list.Sign())
		both := append(openssl(t, "crl", "-inform", "DER", "-in", root), openssl(t, "crl", "-inform", "DER", "-in", der)...)
		lists := file(t, dir, name+".pem", both)
		args := []string{"verify", "-attime", at, "-crl_check_all", "-CAfile", roots, "-untrusted", between, "-CRLfile", lists, leaf}
		out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		if revoked := bytes.Contains(out, []byte("certificate revoked")); revoked != (name == "revoking") || (err != nil) != revoked {
			t.Errorf("%s list: %v\n%s", name, err, out)
		}
	}
	openssl(t, "verify", "-attime", at, "-CAfile", roots, signing)
	p.UseProcessorCA()
	openssl(t, "verify", "-attime", at, "-CAfile", roots, "-untrusted", between, file(t, dir, "processor.pem", PEM(p.Leaf)))
}

func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is missing")
	}
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", args, err, out)
	}
	return out
}

func file(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
