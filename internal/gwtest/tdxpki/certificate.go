package tdxpki

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// UsageApp is the usage of any certificate that is issued for an app.
const UsageApp = "app:custom"

// A Certificate is an RA-TLS certificate before it is signed. Of the extensions
// 1.3.6.1.4.1.62397.1.n a nil one is left out; one that is empty is there, empty.
type Certificate struct {
	Key         *ecdsa.PrivateKey
	Subject     string // common name
	DNSNames    []string
	IPs         []net.IP
	NotBefore   time.Time
	NotAfter    time.Time
	ExtKeyUsage []x509.ExtKeyUsage

	Quote       []byte // .1
	EventLog    []byte // .2
	AppID       []byte // .3
	Usage       []byte // .4
	Attestation []byte // .8
	AppInfo     []byte // .9
	Extra       []pkix.Extension
}

// SPKI is the certificate's public key as report data binds it.
func (c *Certificate) SPKI() []byte { return must(x509.MarshalPKIXPublicKey(&c.Key.PublicKey)) }

// SelfSigned issues it by its own key. Leaf is nil where crypto/x509 refuses to
// read what was asked for, a duplicate extension for example.
func (c *Certificate) SelfSigned() tls.Certificate {
	template := c.template()
	return c.sign(template, template, c.Key)
}

// SignedBy issues it by an authority. The chain is the certificate, the authority's
// and those above it, which are only shown.
func (c *Certificate) SignedBy(ca *x509.Certificate, key crypto.Signer, above ...*x509.Certificate) tls.Certificate {
	out := c.sign(c.template(), ca, key)
	for _, a := range append([]*x509.Certificate{ca}, above...) {
		out.Certificate = append(out.Certificate, a.Raw)
	}
	return out
}

func (c *Certificate) sign(template, parent *x509.Certificate, key crypto.Signer) tls.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, template, parent, &c.Key.PublicKey, repeatable{key}))
	out := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: c.Key}
	if leaf, err := x509.ParseCertificate(der); err == nil {
		out.Leaf = leaf
	}
	return out
}

func (c *Certificate) template() *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(keyID(&c.Key.PublicKey)),
		Subject:      pkix.Name{CommonName: c.Subject},
		DNSNames:     c.DNSNames, IPAddresses: c.IPs,
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: c.ExtKeyUsage,
	}
	for _, x := range []struct {
		arc     int
		payload []byte
	}{{1, c.Quote}, {2, c.EventLog}, {3, c.AppID}, {4, c.Usage}, {8, c.Attestation}, {9, c.AppInfo}} {
		if x.payload != nil {
			t.ExtraExtensions = append(t.ExtraExtensions, Extension(x.arc, x.payload))
		}
	}
	t.ExtraExtensions = append(t.ExtraExtensions, c.Extra...)
	return t
}

// Extension is an extension of RA-TLS: the payload in an OCTET STRING of its own.
func Extension(arc int, payload []byte) pkix.Extension {
	return pkix.Extension{
		Id:    asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, arc},
		Value: build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(payload) }),
	}
}

// Compress writes an event log in its compressed form: ELGZv1, then gzip.
func Compress(log []byte) []byte {
	var b bytes.Buffer
	b.WriteString("ELGZv1")
	z := gzip.NewWriter(&b)
	_, _ = z.Write(log) // a buffer takes all
	_ = z.Close()
	return b.Bytes()
}

// repeatable signs without randomness, where its key can: ECDSA by RFC 6979.
type repeatable struct{ crypto.Signer }

func (r repeatable) Sign(_ io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if _, ok := r.Signer.(*ecdsa.PrivateKey); ok {
		return r.Signer.Sign(nil, digest, o)
	}
	return r.Signer.Sign(rand.Reader, digest, o)
}
