package compare

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"sallyport/bench/peers"
)

// domain is what the names of the comparison are below. Nothing looks it up.
const domain = "gw.test"

// certify makes the certificate of all proxies, of ECDSA P-256 as most on the web
// are, and writes it to site.Dir.
func certify(site *peers.Site) error {
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
	site.Domain = domain
	site.Certificate = filepath.Join(site.Dir, "cert.pem")
	site.Key = filepath.Join(site.Dir, "key.pem")
	site.Bundle = filepath.Join(site.Dir, "both.pem")
	return errors.Join(
		os.WriteFile(site.Certificate, certPEM, 0o600),
		os.WriteFile(site.Key, keyPEM, 0o600),
		os.WriteFile(site.Bundle, append(certPEM, keyPEM...), 0o600),
	)
}
