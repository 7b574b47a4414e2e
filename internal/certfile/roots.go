package certfile

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"sallyport/internal/regularfile"
)

// maxRoots bounds a file of authorities in bytes. A system's own bundle takes some 230 kB.
const maxRoots = 4 << 20

// ReadRoots reads the authorities of a PEM file. What cannot be one is passed over, as
// crypto/x509 does in a system's bundle.
func ReadRoots(name string) (*x509.CertPool, error) {
	pem, _, err := regularfile.Read(name, maxRoots)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf(`%s has no certificate: want PEM, "-----BEGIN CERTIFICATE-----"`, name)
	}
	return roots, nil
}

// ReadPair is tls.LoadX509KeyPair with the bounds of Read.
func ReadPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, _, err := Read(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, _, err := Read(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s and key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}
