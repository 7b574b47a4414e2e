package tdxpki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// A CRL is a certificate revocation list before it is signed.
type CRL struct {
	Issuer                 *Entity // names and signs it
	ThisUpdate, NextUpdate time.Time
	Number                 int64
	Revoked                [][]byte // serial numbers
}

// RootCRL is the list of what the root has revoked: nothing. Like Intel's own it
// is valid for about a year.
func (p *PKI) RootCRL() CRL {
	return CRL{Issuer: p.Root, Number: 1, ThisUpdate: p.Now.Add(-30 * day), NextUpdate: p.Now.Add(year)}
}

// PCKCRL is the list of the machines that an authority has revoked: two, but not
// this world's. Like Intel's own it is valid for a month.
func (p *PKI) PCKCRL(by *Entity) CRL {
	return CRL{
		Issuer: by, Number: 1, ThisUpdate: p.Now.Add(-day), NextUpdate: p.Now.Add(29 * day),
		Revoked: [][]byte{p.bytes([]byte("stolen"), 20), p.bytes([]byte("lost"), 20)},
	}
}

// Revoke returns the list with certificates added.
func (c CRL) Revoke(bad ...*Entity) CRL {
	c.Revoked = append([][]byte(nil), c.Revoked...)
	for _, e := range bad {
		c.Revoked = append(c.Revoked, e.Template.Serial)
	}
	return c
}

// Sign returns the list in DER (RFC 5280, 5.1).
func (c CRL) Sign() []byte {
	return signed(c.Issuer.Key, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1) // v2
		addAlgorithm(b)
		addName(b, c.Issuer.Template.Subject)
		addTime(b, c.ThisUpdate)
		addTime(b, c.NextUpdate)
		if len(c.Revoked) > 0 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, serial := range c.Revoked {
					c.addEntry(b, serial)
				}
			})
		}
		number := build(func(b *cryptobyte.Builder) { b.AddASN1Int64(c.Number) })
		b.AddASN1(cbasn1.Tag(0).Constructed().ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addExtension(b, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 20}, Value: number})
				addExtension(b, authorityKeyID(c.Issuer.Template.SubjectKeyID))
			})
		})
	})
}

// addEntry revokes one certificate, for the reason that Intel gives for all of
// them: its key is compromised.
func (c CRL) addEntry(b *cryptobyte.Builder, serial []byte) {
	reason := build(func(b *cryptobyte.Builder) { b.AddASN1Enum(1) })
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(serial))
		addTime(b, c.ThisUpdate)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addExtension(b, pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 21}, Value: reason})
		})
	})
}
