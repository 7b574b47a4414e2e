package tdxpki

import (
	"crypto/ecdsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The parts of X.509 that certificates and revocation lists share.

// signed wraps what write writes: SEQUENCE { SEQUENCE { … }, algorithm, signature }.
func signed(key *ecdsa.PrivateKey, write func(*cryptobyte.Builder)) []byte {
	tbs := build(func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, write) })
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(tbs)
			addAlgorithm(b)
			b.AddASN1BitString(signature(key, tbs))
		})
	})
}

func build(write func(*cryptobyte.Builder)) []byte {
	var b cryptobyte.Builder
	write(&b)
	return b.BytesOrPanic()
}

// addAlgorithm writes ecdsa-with-SHA256.
func addAlgorithm(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
	})
}

// addName writes a name as Intel does: UTF8Strings, most specific part first,
// which pkix.Name writes in another order and as PrintableStrings.
func addName(b *cryptobyte.Builder, common string) {
	parts := []struct {
		arc   int
		tag   cbasn1.Tag
		value string
	}{
		{3, cbasn1.UTF8String, common},
		{10, cbasn1.UTF8String, "Intel Corporation"},
		{7, cbasn1.UTF8String, "Santa Clara"},
		{8, cbasn1.UTF8String, "CA"},
		{6, cbasn1.PrintableString, "US"},
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, p := range parts {
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{2, 5, 4, p.arc})
					b.AddASN1(p.tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(p.value)) })
				})
			})
		}
	})
}

// addTime writes a date: those from 2050 on are GeneralizedTime (RFC 5280, 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

func addExtension(b *cryptobyte.Builder, x pkix.Extension) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(x.Id)
		if x.Critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1OctetString(x.Value)
	})
}

func authorityKeyID(id []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(id) })
		})
	})}
}

// distributionPoint is a list of one point with one full name, a URI.
func distributionPoint(url string) []byte {
	point := cbasn1.Tag(0).Constructed().ContextSpecific()
	return build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(point, func(b *cryptobyte.Builder) {
					b.AddASN1(point, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(url)) })
					})
				})
			})
		})
	})
}
