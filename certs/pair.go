package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/certfile"
	"sallyport/internal/follow"
	"sallyport/internal/oneline"
)

// A pair of files → a certificate that clients of *.domain will accept, as far
// as can be known without their roots. All problems are found at once.

// maxChain bounds the certificates of a file. Every client gets them all.
const maxChain = 10

// pair is a checked certificate with its key. It is never changed.
type pair struct {
	cert *tls.Certificate
	sum  follow.Sum // of the files it came from
}

// checkPair makes a pair of files, or returns all that is wrong with them.
// Warnings are about certificates that work, but not for all clients.
func checkPair(f files, s Source, now time.Time) (p *pair, warnings []string, err error) {
	chain, certErr := parseChain(f.cert)
	key, keyErr := parseKey(f.key)
	var problems []error
	fail := func(file string, err error) {
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", file, err))
		}
	}
	fail(s.CertFile, certErr)
	fail(s.KeyFile, keyErr)
	fail(s.KeyFile, certfile.CheckKeyMode(f.keyMode))
	if certErr == nil {
		for _, err := range checkLeaf(chain[0], s, now) {
			fail(s.CertFile, err)
		}
	}
	if certErr == nil && keyErr == nil {
		fail(s.KeyFile, checkMatch(chain, key))
	}
	if err := oneline.Join(problems...); err != nil {
		return nil, nil, err
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return &pair{cert, f.sum}, warnChain(chain, now), nil
}

// parseChain reads the certificates of a PEM file.
func parseChain(data []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if len(chain) == maxChain {
			return nil, fmt.Errorf("has more than %d certificates: want the leaf and its intermediates", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New(`has no certificate: want PEM, "-----BEGIN CERTIFICATE-----"`)
	}
	return chain, nil
}

// parseKey reads the first private key of a PEM file.
func parseKey(data []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return nil, errors.New(`has no private key: want PEM, "-----BEGIN PRIVATE KEY-----"`)
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // openssl writes EC PARAMETERS first
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the private key is encrypted: want it decrypted (openssl pkey), readable for the gateway alone")
		}
		key, err := parseKeyDER(block)
		if err != nil {
			return nil, fmt.Errorf("private key: %w", err)
		}
		return key, nil
	}
}

func parseKeyDER(block *pem.Block) (crypto.Signer, error) {
	switch block.Type {
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T cannot sign", key)
	}
	return signer, nil
}

// checkLeaf returns the reasons why clients of the source's name would refuse the certificate.
func checkLeaf(leaf *x509.Certificate, s Source, now time.Time) []error {
	var problems []error
	if !covers(leaf.DNSNames, s.name()) {
		problems = append(problems, fmt.Errorf("is for %q: want one for %q", leaf.DNSNames, s.name()))
	}
	if err := certfile.CheckTime(leaf, now); err != nil {
		problems = append(problems, err)
	}
	if err := checkKeyType(leaf.PublicKey); err != nil {
		problems = append(problems, err)
	}
	if u := leaf.ExtKeyUsage; len(u) > 0 && !slices.Contains(u, x509.ExtKeyUsageServerAuth) && !slices.Contains(u, x509.ExtKeyUsageAny) {
		problems = append(problems, errors.New("is not for TLS servers: want the extended key usage serverAuth"))
	}
	return problems
}

// checkKeyType accepts what all TLS clients of the last years do; browsers refuse P-521.
func checkKeyType(pub any) error {
	const want = "want RSA with 2048 to 4096 bits, ECDSA on P-256 or P-384, or Ed25519"
	switch k := pub.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < 2048 || n > certfile.MaxRSABits {
			return fmt.Errorf("has an RSA key with %d bits: %s", n, want)
		}
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() {
			return fmt.Errorf("has an ECDSA key on %s: %s", k.Curve.Params().Name, want)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("has a key of an unknown kind (%T): %s", pub, want)
	}
	return nil
}

// checkMatch returns an error unless key is the leaf's.
func checkMatch(chain []*x509.Certificate, key crypto.Signer) error {
	pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return fmt.Errorf("has a key of an unknown kind (%T)", key)
	}
	for i, c := range chain {
		if !pub.Equal(c.PublicKey) {
			continue
		}
		if i > 0 {
			return fmt.Errorf("the key belongs to certificate %d of the other file: want the leaf first there", i+1)
		}
		return nil
	}
	return errors.New("the key is not the certificate's: want the pair that was issued together")
}

// warnChain returns what strict clients may not accept about the intermediates.
// That is not an error: some clients sort the chain, others know the missing one.
func warnChain(chain []*x509.Certificate, now time.Time) (warnings []string) {
	for i, c := range chain[1:] {
		if !bytes.Equal(chain[i].RawIssuer, c.RawSubject) {
			warnings = append(warnings, fmt.Sprintf("certificate %d (%s) did not issue the one before it", i+2, c.Subject))
		}
		if err := certfile.CheckTime(c, now); err != nil {
			warnings = append(warnings, fmt.Sprintf("certificate %d (%s) %s", i+2, c.Subject, err))
		}
	}
	return warnings
}
