package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates for a test.
type authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	serial int64
}

// issued is a certificate with its key, in PEM.
type issued struct{ cert, key []byte }

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{key: newECDSA(t, elliptic.P256())}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return a
}

// issue makes a certificate for *.gw.example, valid for 400 hours, which edit
// may change; its key is a new ECDSA P-256 key.
func (a *authority) issue(t testing.TB, edit func(*x509.Certificate)) issued {
	t.Helper()
	return a.issueFor(t, newECDSA(t, elliptic.P256()), edit)
}

func (a *authority) issueFor(t testing.TB, key crypto.Signer, edit func(*x509.Certificate)) issued {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xa0 + a.serial), DNSNames: []string{"*.gw.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(400 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if edit != nil {
		edit(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{pemBlock("CERTIFICATE", der), pemKey(t, key)}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pemKey(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemBlock("PRIVATE KEY", der)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// save writes c as domain.pem and domain.key in dir.
func (c issued) save(t testing.TB, dir, domain string) Source {
	t.Helper()
	s := Source{Domain: domain, CertFile: filepath.Join(dir, domain+".pem"), KeyFile: filepath.Join(dir, domain+".key")}
	replaceFile(t, s.CertFile, c.cert)
	replaceFile(t, s.KeyFile, c.key)
	return s
}

// replaceFile puts data in name's place in one step, as renewing tools do.
func replaceFile(t testing.TB, name string, data []byte) {
	t.Helper()
	part := name + ".part"
	if err := os.WriteFile(part, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, name); err != nil {
		t.Fatal(err)
	}
}

// open is Open of sources that are good.
func open(t testing.TB, opts Options, sources ...Source) *Index {
	t.Helper()
	x, err := Open(sources, opts)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
