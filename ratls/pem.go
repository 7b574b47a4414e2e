package ratls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Files are PEM: certificates one after the other from leaf to root, and keys in PKCS#8, as
// a KMS returns them.

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// EncodePEM returns the chain and the key of a certificate as two files.
func EncodePEM(c tls.Certificate) (chain, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	for _, cert := range c.Certificate {
		chain = append(chain, block(pemCertificate, cert)...)
	}
	return chain, block(pemKey, der), nil
}

// EncodePEM returns the root certificate and its key as two files.
func (a *Authority) EncodePEM() (root, key []byte, err error) {
	return EncodePEM(tls.Certificate{Certificate: [][]byte{a.root.Raw}, PrivateKey: a.key})
}

// ParseAuthority reads an authority from its two files. Errors contain nothing of the key.
func ParseAuthority(root, key []byte) (*Authority, error) {
	a := &Authority{}
	der, err := onlyBlock(root, pemCertificate)
	if err == nil {
		a.root, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("authority's certificate: %w", err)
	}
	if a.key, err = parseKey(key); err != nil {
		return nil, fmt.Errorf("authority's key: %w", err)
	}
	switch {
	case !a.root.IsCA:
		return nil, errors.New("authority's certificate: is not one of a CA")
	case !a.key.PublicKey.Equal(a.root.PublicKey):
		return nil, errors.New("authority's key: is not that of its certificate")
	}
	return a, nil
}

func parseKey(file []byte) (*ecdsa.PrivateKey, error) {
	der, err := onlyBlock(file, pemKey)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("is not PKCS#8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("is not of the curve P-256")
	}
	return key, nil
}

// onlyBlock returns the content of the single PEM block of a file.
func onlyBlock(file []byte, kind string) ([]byte, error) {
	b, rest := pem.Decode(file)
	if b == nil || b.Type != kind || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("want one PEM block %q and nothing behind it", kind)
	}
	return b.Bytes, nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
