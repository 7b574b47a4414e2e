package certs

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/certfile"
)

// problemsOf is what Open says about c for gw.example, with the files' names
// cut to CERT and KEY.
func problemsOf(t *testing.T, c issued) string {
	t.Helper()
	s := c.save(t, t.TempDir(), "gw.example")
	_, err := Open([]Source{s}, Options{})
	return strings.NewReplacer(s.CertFile, "CERT", s.KeyFile, "KEY").Replace(fmt.Sprint(err))
}

func TestBadPairIsRefusedWithItsFile(t *testing.T) {
	ca := newAuthority(t)
	good, other := ca.issue(t, nil), ca.issue(t, nil)
	edit := func(f func(*x509.Certificate)) issued { return ca.issue(t, f) }
	root := pemBlock("CERTIFICATE", ca.cert.Raw)
	tests := []struct {
		name string
		pair issued
		want string // after "certificate of gw.example: "
	}{
		{"empty", issued{}, `CERT: has no certificate: want PEM, "-----BEGIN CERTIFICATE-----"; ` +
			`KEY: has no private key: want PEM, "-----BEGIN PRIVATE KEY-----"`},
		{"key of another", issued{good.cert, other.key}, "KEY: the key is not the certificate's: want the pair that was issued together"},
		{"leaf not first", issued{slices.Concat(other.cert, good.cert), good.key}, "KEY: the key belongs to certificate 2 of the other file: want the leaf first there"},
		{"broken certificate", issued{pemBlock("CERTIFICATE", []byte{1}), good.key}, "CERT: certificate 1: x509: malformed certificate"},
		{"broken intermediate", issued{slices.Concat(good.cert, pemBlock("CERTIFICATE", []byte{1})), good.key}, "CERT: certificate 2: x509: malformed certificate"},
		{"long chain", issued{slices.Repeat(good.cert, maxChain+1), good.key}, "CERT: has more than 10 certificates: want the leaf and its intermediates"},
		{"authority instead of leaf", issued{root, pemKey(t, ca.key)}, `CERT: is for []: want one for "*.gw.example"`},
		{
			"another domain", edit(func(c *x509.Certificate) { c.DNSNames = []string{"*.example", "gw.example", "a.gw.example"} }),
			`CERT: is for ["*.example" "gw.example" "a.gw.example"]: want one for "*.gw.example"`,
		},
		{
			"for clients", edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			"CERT: is not for TLS servers: want the extended key usage serverAuth",
		},
		{
			"encrypted key",
			issued{good.cert, pemBlock("ENCRYPTED PRIVATE KEY", []byte{1})},
			"KEY: the private key is encrypted: want it decrypted (openssl pkey), readable for the gateway alone",
		},
		{"broken key", issued{good.cert, pemBlock("EC PRIVATE KEY", []byte{1})}, "KEY: private key: x509: failed to parse EC private key"},
		{"too large", issued{good.cert, make([]byte, certfile.MaxSize+1)}, "KEY: file is too large: want at most 262144 bytes"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := problemsOf(t, tc.pair); !strings.HasPrefix(got, "certificate of gw.example: "+tc.want) {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestCertificateOutsideItsTimeIsRefused(t *testing.T) {
	ca := newAuthority(t)
	at := time.Now().Add(-30 * time.Minute).UTC().Truncate(time.Second)
	old := ca.issue(t, func(c *x509.Certificate) { c.NotAfter = at })
	if got, want := problemsOf(t, old), "CERT: expired at "+at.Format(time.RFC3339)+": want a renewed one"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want …%s", got, want)
	}
	at = at.Add(time.Hour)
	early := ca.issue(t, func(c *x509.Certificate) { c.NotBefore = at })
	if got, want := problemsOf(t, early), "CERT: is not valid before "+at.Format(time.RFC3339)+": want one valid now; is the clock right?"; !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want …%s", got, want)
	}
}

func TestKeyTypes(t *testing.T) {
	const want = "want RSA with 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519"
	t.Setenv("GODEBUG", "rsa1024min=0")
	rsaKey := func(bits int) crypto.Signer {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  crypto.Signer
		want string
	}{
		{"RSA 1024", rsaKey(1024), "has an RSA key with 1024 bits: " + want},
		{"RSA 2048", rsaKey(2048), ""},
		{"P-224", newECDSA(t, elliptic.P224()), "has an ECDSA key on P-224: " + want},
		{"P-256", newECDSA(t, elliptic.P256()), ""},
		{"P-384", newECDSA(t, elliptic.P384()), ""},
		{"P-521", newECDSA(t, elliptic.P521()), "has an ECDSA key on P-521: " + want},
		{"Ed25519", ed, ""},
	}
	ca := newAuthority(t)
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			want := "certificate of gw.example: CERT: " + tc.want
			if tc.want == "" {
				want = "<nil>"
			}
			if got := problemsOf(t, ca.issueFor(t, tc.key, nil)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// The time of a signature grows with the cube of the length, and every stranger can ask for one.
func TestLongRSAKeysAreRefused(t *testing.T) {
	for bits, good := range map[uint]bool{2048: true, 4096: true, 4097: false, 8192: false} {
		err := checkKeyType(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537})
		if (err == nil) != good {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

func TestKeyThatIsOpenToOthersIsRefused(t *testing.T) {
	s := newAuthority(t).issue(t, nil).save(t, t.TempDir(), "gw.example")
	if err := os.Chmod(s.KeyFile, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := Open([]Source{s}, Options{}); err == nil || !strings.Contains(err.Error(), "is open to others (mode 0640): run chmod 600 on it") {
		t.Errorf("%v", err)
	}
}

func TestOlderKeyFormatsAreRead(t *testing.T) {
	ca := newAuthority(t)
	ec := newECDSA(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string]issued{
		"SEC 1 behind its parameters": {ca.issueFor(t, ec, nil).cert, slices.Concat(pemBlock("EC PARAMETERS", []byte{6, 0}), pemBlock("EC PRIVATE KEY", sec1))},
		"PKCS #1":                     {ca.issueFor(t, rsaKey, nil).cert, pemBlock("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))},
	} {
		if got := problemsOf(t, pair); got != "<nil>" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestAllProblemsOfAllDomainsAreToldAtOnce(t *testing.T) {
	ca, dir := newAuthority(t), t.TempDir()
	bad := ca.issueFor(t, newECDSA(t, elliptic.P521()), func(c *x509.Certificate) { c.DNSNames = []string{"*.x"} })
	good := ca.issue(t, nil).save(t, dir, "gw.example")
	_, err := Open([]Source{
		bad.save(t, dir, "a.example"), good, {Domain: "b.example", CertFile: dir, KeyFile: dir + "/none"}, {Domain: "GW.example", CertFile: good.CertFile, KeyFile: good.KeyFile},
	}, Options{})
	const want = `certificate of a.example: DIR/a.example.pem: is for ["*.x"]: want one for "*.a.example"; ` +
		`DIR/a.example.pem: has an ECDSA key on P-521: want RSA with 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519; ` +
		`certificate of b.example: DIR: want a regular file; ` +
		`open DIR/none: no such file or directory; ` +
		`certificate of gw.example: the domain has two sources: want one`
	if got := strings.ReplaceAll(fmt.Sprint(err), dir, "DIR"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func FuzzParsePair(f *testing.F) {
	ca := newAuthority(f)
	good := ca.issue(f, nil)
	f.Add(good.cert, good.key)
	f.Add(slices.Concat(good.cert, pemBlock("CERTIFICATE", ca.cert.Raw)), pemBlock("EC PRIVATE KEY", []byte{0x30}))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		p, _, err := checkPair(files{cert: cert, key: key}, Source{Domain: "gw.example"}, time.Now())
		if (p == nil) == (err == nil) {
			t.Fatalf("pair %v, error %v", p, err)
		}
		if p != nil && !reflect.DeepEqual(p.cert.PrivateKey.(crypto.Signer).Public(), p.cert.Leaf.PublicKey) {
			t.Error("accepted a key that is not the certificate's")
		}
	})
}
