package peers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"sallyport/internal/oneline"
)

// Certify makes the certificate of all proxies for the names below domain, of ECDSA
// P-256 as most on the web are, and writes it to s.Dir.
func (s *Site) Certify(domain string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{"*." + domain},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
	s.Domain = domain
	s.Certificate = filepath.Join(s.Dir, "cert.pem")
	s.Key = filepath.Join(s.Dir, "key.pem")
	s.Bundle = filepath.Join(s.Dir, "both.pem")
	return oneline.Join(
		os.WriteFile(s.Certificate, certPEM, 0o600),
		os.WriteFile(s.Key, keyPEM, 0o600),
		os.WriteFile(s.Bundle, append(certPEM, keyPEM...), 0o600),
	)
}
