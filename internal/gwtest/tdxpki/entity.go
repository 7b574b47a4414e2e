package tdxpki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bits of a key usage extension (RFC 5280, 4.2.1.3), the first one highest.
const (
	LeafUsage      = 0xc0 // digitalSignature, nonRepudiation
	AuthorityUsage = 0x06 // keyCertSign, cRLSign
)

// A Template is a certificate as Intel writes them, before it is signed.
type Template struct {
	Serial              []byte // big endian, positive
	Issuer, Subject     string // common names; the rest of Intel's names is always the same
	NotBefore, NotAfter time.Time

	// The extensions, in Intel's order. A zero field is left out; basic
	// constraints are always there.
	AuthorityKeyID []byte
	CRLURL         string
	SubjectKeyID   []byte
	KeyUsage       byte // LeafUsage or AuthorityUsage
	CA             bool // basic constraints
	PathLen        int  // of a CA
	Extra          []pkix.Extension
}

// An Entity is a certificate and the key it is about.
type Entity struct {
	Template Template
	DER      []byte
	Key      *ecdsa.PrivateKey
}

// Issue signs t for key by an authority, or by key itself if by is nil. The
// authority's name and key identifier are written over t's.
func Issue(t Template, key *ecdsa.PrivateKey, by *Entity) *Entity {
	if by == nil {
		by = &Entity{Template: t, Key: key}
	}
	t.Issuer, t.AuthorityKeyID = by.Template.Subject, by.Template.SubjectKeyID
	return sign(t, key, by.Key)
}

// Reissue returns e's certificate with a change, signed by an authority (nil: by
// e's own key) whose name and key identifier the change may write over too.
func (e *Entity) Reissue(by *Entity, change func(*Template)) *Entity {
	if by == nil {
		by = e
	}
	t := e.Template
	t.Issuer, t.AuthorityKeyID = by.Template.Subject, by.Template.SubjectKeyID
	if change != nil {
		change(&t)
	}
	return sign(t, e.Key, by.Key)
}

// WithKey returns an impostor: e's certificate, but signing with another key.
func (e *Entity) WithKey(key *ecdsa.PrivateKey) *Entity {
	return &Entity{Template: e.Template, DER: e.DER, Key: key}
}

// Cert returns the certificate as crypto/x509 reads it.
func (e *Entity) Cert() *x509.Certificate { return must(x509.ParseCertificate(e.DER)) }

// PEM writes certificates one after the other.
func PEM(chain ...*Entity) []byte {
	var out bytes.Buffer
	for _, e := range chain {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: e.DER}) // a buffer takes all
	}
	return out.Bytes()
}

func sign(t Template, key, signer *ecdsa.PrivateKey) *Entity {
	der := signed(signer, func(b *cryptobyte.Builder) { t.marshal(b, &key.PublicKey) })
	return &Entity{Template: t, DER: der, Key: key}
}

// marshal writes a TBSCertificate's fields (RFC 5280, 4.1).
func (t Template) marshal(b *cryptobyte.Builder, key *ecdsa.PublicKey) {
	b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // v3
	b.AddASN1BigInt(new(big.Int).SetBytes(t.Serial))
	addAlgorithm(b)
	addName(b, t.Issuer)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addTime(b, t.NotBefore)
		addTime(b, t.NotAfter)
	})
	addName(b, t.Subject)
	b.AddBytes(must(x509.MarshalPKIXPublicKey(key)))
	b.AddASN1(cbasn1.Tag(3).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, x := range t.extensions() {
				addExtension(b, x)
			}
		})
	})
}

// extensions lists them as Intel orders them.
func (t Template) extensions() []pkix.Extension {
	var all []pkix.Extension
	if t.AuthorityKeyID != nil {
		all = append(all, authorityKeyID(t.AuthorityKeyID))
	}
	if t.CRLURL != "" {
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: distributionPoint(t.CRLURL)})
	}
	if t.SubjectKeyID != nil {
		id := build(func(b *cryptobyte.Builder) { b.AddASN1OctetString(t.SubjectKeyID) })
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 14}, Value: id})
	}
	if t.KeyUsage != 0 {
		used := 8 - bits.TrailingZeros8(t.KeyUsage)
		usage := must(asn1.Marshal(asn1.BitString{Bytes: []byte{t.KeyUsage}, BitLength: used}))
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 15}, Critical: true, Value: usage})
	}
	constraints := build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if t.CA {
				b.AddASN1Boolean(true)
				b.AddASN1Int64(int64(t.PathLen))
			}
		})
	})
	all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: constraints})
	return append(all, t.Extra...)
}

// keyID is how Intel names a key: the SHA-1 of its SubjectPublicKeyInfo.
func keyID(key *ecdsa.PublicKey) []byte {
	sum := sha1.Sum(must(x509.MarshalPKIXPublicKey(key)))
	return sum[:]
}

// signature is ECDSA over SHA-256 in DER. Without a source of randomness Go
// takes RFC 6979: the same signature each time.
func signature(key *ecdsa.PrivateKey, message []byte) []byte {
	sum := sha256.Sum256(message)
	return must(key.Sign(nil, sum[:], crypto.SHA256))
}

// rawSignature is a signature as quotes and collateral have it: r and s, 32
// bytes each, big endian.
func rawSignature(key *ecdsa.PrivateKey, message []byte) (raw [64]byte) {
	var rs struct{ R, S *big.Int }
	must(asn1.Unmarshal(signature(key, message), &rs))
	rs.R.FillBytes(raw[:32])
	rs.S.FillBytes(raw[32:])
	return raw
}
