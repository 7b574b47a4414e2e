package qvl

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
)

// A crl is a revocation list (RFC 5280, section 5) with a verified signature.
type crl struct {
	issuer  []byte // DER of the name
	window  window
	serials map[string]bool // big endian
}

// parseCRL reads the list of an issuer. It refuses critical extensions: they mark lists that
// do not have everything that the issuer revoked (a delta, a part of the certificates,
// certificates of others). A list without an end (nextUpdate) has expired.
func parseCRL(der []byte, issuer *x509.Certificate) (*crl, error) {
	if len(der) > maxDocument {
		return nil, fmt.Errorf("%d bytes, more than %d", len(der), maxDocument)
	}
	list, err := x509.ParseRevocationList(der)
	switch {
	case err != nil:
		return nil, err
	case !bytes.Equal(list.RawIssuer, issuer.RawSubject):
		return nil, fmt.Errorf("is of %q, want %q", list.Issuer.CommonName, issuer.Subject.CommonName)
	case list.SignatureAlgorithm != x509.ECDSAWithSHA256:
		return nil, fmt.Errorf("signed with %s, want %s", list.SignatureAlgorithm, x509.ECDSAWithSHA256)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("not signed by %q: %w", issuer.Subject.CommonName, err)
	}
	for _, x := range list.Extensions {
		if x.Critical {
			return nil, fmt.Errorf("unknown critical extension %s", x.Id)
		}
	}
	c := &crl{
		issuer:  bytes.Clone(list.RawIssuer),
		window:  window{list.ThisUpdate, list.NextUpdate},
		serials: make(map[string]bool, len(list.RevokedCertificateEntries)),
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, x := range entry.Extensions {
			if x.Critical {
				return nil, fmt.Errorf("unknown critical extension %s of an entry", x.Id)
			}
		}
		c.serials[string(entry.SerialNumber.Bytes())] = true
	}
	return c, nil
}

// check returns an error if the certificate is revoked, or if the list is not about it. The
// time and the reason of the revocation do not matter.
func (c *crl) check(cert *x509.Certificate) error {
	switch {
	case c == nil:
		return errors.New("no valid CRL")
	case !bytes.Equal(cert.RawIssuer, c.issuer):
		return errors.New("CRL is of another issuer")
	case c.serials[string(cert.SerialNumber.Bytes())]:
		return fmt.Errorf("certificate %x is revoked", cert.SerialNumber)
	}
	return nil
}
