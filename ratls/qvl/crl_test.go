package qvl

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

func unknownCritical() pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
}

func TestRevokedCertificateIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"platform", "PCK certificate revocation", "is revoked", func(w *world) { w.docs.PCKCRL = w.docs.PCKCRL.Revoke(w.Leaf) }},
		{"PCK CA", "PCK CRL issuer revocation; PCK CA revocation", "is revoked", func(w *world) {
			w.docs.RootCRL = w.docs.RootCRL.Revoke(w.Platform)
		}},
		{"PCK CA of the quote, reissued since", "PCK CA revocation", "is revoked", func(w *world) {
			old := w.Platform.Reissue(w.Root, func(t *tdxpki.Template) { t.Serial = []byte{7} })
			w.quote.SetChain(w.Leaf, old, w.Root)
			w.docs.RootCRL = w.docs.RootCRL.Revoke(old)
		}},
		{"TCB signer", "TCB info issuer revocation; QE identity issuer revocation", "is revoked", func(w *world) {
			w.docs.RootCRL = w.docs.RootCRL.Revoke(w.TCBSigning)
		}},
		{"root", "root certificate revocation", "is revoked", func(w *world) { w.docs.RootCRL = w.docs.RootCRL.Revoke(w.Root) }},
	})
}

// What cannot be looked up because the root CRL is no good.
const unknownToRoot = "root CRL; root certificate revocation; PCK CRL issuer revocation; TCB info issuer revocation; " +
	"QE identity issuer revocation; PCK CA revocation"

func TestRootCRLMustBeGood(t *testing.T) {
	checkBreaches(t, []breach{
		{"missing", unknownToRoot, "", func(w *world) { w.changeDocs = func(d *tdxpki.Documents) { d.RootCRL = nil } }},
		{"of a PCK CA", unknownToRoot, "want \"Intel SGX Root CA\"", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.RootCRL = d.PCKCRL }
		}},
		{"of a forger", unknownToRoot, "not signed by", func(w *world) { w.docs.RootCRL.Issuer = w.forger.Root }},
		{"expired", "root CRL window", "has expired", func(w *world) { w.docs.RootCRL.NextUpdate = w.at.Add(-time.Second) }},
		{"of the future", "root CRL window", "not valid yet", func(w *world) { w.docs.RootCRL.ThisUpdate = w.at.Add(time.Second) }},
	})
}

func TestPCKCRLMustBeGood(t *testing.T) {
	const unknown = "PCK CRL; PCK certificate revocation"
	checkBreaches(t, []breach{
		{"missing", unknown, "", func(w *world) { w.changeDocs = func(d *tdxpki.Documents) { d.PCKCRL = nil } }},
		{"of the root", unknown, "want \"Intel SGX PCK Platform CA\"", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.PCKCRL = d.RootCRL }
		}},
		{"of a forger", unknown, "not signed by", func(w *world) { w.docs.PCKCRL.Issuer = w.forger.Platform }},
		{"of the other CA", unknown, "is of \"Intel SGX PCK Processor CA\"", func(w *world) { w.docs.PCKCRL = w.PCKCRL(w.Processor) }},
		{"of the other CA with its chain", "PCK certificate revocation", "another issuer", func(w *world) {
			w.docs.PCKCRL = w.PCKCRL(w.Processor)
			w.docs.PCKCRLChain = []*tdxpki.Entity{w.Processor, w.Root}
		}},
		{"of the Platform CA for a platform of the Processor CA", "PCK certificate revocation", "another issuer", func(w *world) {
			w.UseProcessorCA()
			w.quote = w.Quote()
		}},
		{"of a CA of the same name and another key", "PCK certificate revocation", "another key", func(w *world) {
			other := tdxpki.Issue(w.Platform.Template, w.forger.Platform.Key, w.Root)
			w.docs.PCKCRL, w.docs.PCKCRLChain = w.PCKCRL(other), []*tdxpki.Entity{other, w.Root}
		}},
		{"by the TCB signer", "PCK CRL issuer; PCK CRL; PCK certificate revocation", "name \"Intel SGX TCB Signing\"", func(w *world) {
			w.docs.PCKCRL, w.docs.PCKCRLChain = w.PCKCRL(w.TCBSigning), []*tdxpki.Entity{w.TCBSigning, w.Root}
		}},
		{"by a CA that may not revoke", "PCK CRL issuer; PCK CRL; PCK certificate revocation", "key usage does not allow", func(w *world) {
			ca := w.Platform.Reissue(w.Root, func(t *tdxpki.Template) { t.KeyUsage = 0x04 })
			w.docs.PCKCRL, w.docs.PCKCRLChain = w.PCKCRL(ca), []*tdxpki.Entity{ca, w.Root}
		}},
		{"by a CA that is none", "PCK CRL issuer; PCK CRL; PCK certificate revocation", "is not a CA", func(w *world) {
			ca := w.Platform.Reissue(w.Root, func(t *tdxpki.Template) { t.CA = false })
			w.docs.PCKCRL, w.docs.PCKCRLChain = w.PCKCRL(ca), []*tdxpki.Entity{ca, w.Root}
		}},
		{"by a CA that has expired", "PCK CRL issuer window", "has expired", func(w *world) {
			ca := w.Platform.Reissue(w.Root, func(t *tdxpki.Template) { t.NotAfter = w.at.Add(-time.Second) })
			w.docs.PCKCRLChain = []*tdxpki.Entity{ca, w.Root}
		}},
		{"by a CA of another curve", "PCK CRL issuer; PCK certificate revocation", "P-256", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.PCKCRLChain, d.PCKCRL = otherCurve(w) }
		}},
		{"expired", "PCK CRL window", "has expired", func(w *world) { w.docs.PCKCRL.NextUpdate = w.at.Add(-time.Second) }},
		{"of the future", "PCK CRL window", "not valid yet", func(w *world) { w.docs.PCKCRL.ThisUpdate = w.at.Add(time.Second) }},
		{"without its issuer's chain", "PCK CRL issuer; PCK certificate revocation", "0 certificates", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.PCKCRLChain = nil }
		}},
	})
}

// otherCurve is a PCK CA that the root has certified, but for a key of P-384, and its list.
func otherCurve(w *world) (chain, list []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		panic(err)
	}
	platform := w.Platform.Cert()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		RawSubject: platform.RawSubject, SerialNumber: platform.SerialNumber, NotBefore: platform.NotBefore, NotAfter: platform.NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: platform.KeyUsage,
	}, w.root, &key.PublicKey, w.Root.Key)
	if err != nil {
		panic(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	list, err = x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: w.at, NextUpdate: w.at.Add(time.Hour), SignatureAlgorithm: x509.ECDSAWithSHA256,
	}, ca, key)
	if err != nil {
		panic(err)
	}
	return tdxpki.PEM(&tdxpki.Entity{DER: der}, w.Root), list
}

// A delta or a partial list is a list of the right issuer that lacks the certificate.
func TestPartialCRLIsRefused(t *testing.T) {
	w := newWorld()
	sign := func(list x509.RevocationList) []byte {
		list.Number, list.ThisUpdate, list.NextUpdate = big.NewInt(2), w.at, w.at.Add(time.Hour)
		der, err := x509.CreateRevocationList(rand.Reader, &list, w.Root.Cert(), w.Root.Key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	if _, err := parseCRL(sign(x509.RevocationList{}), w.Root.Cert()); err != nil {
		t.Fatalf("whole list: %v", err)
	}
	other := x509.RevocationList{SignatureAlgorithm: x509.ECDSAWithSHA384}
	if _, err := parseCRL(sign(other), w.Root.Cert()); err == nil || !strings.Contains(err.Error(), "ECDSA-SHA384") {
		t.Errorf("signed over another hash: %v", err)
	}
	for name, list := range map[string]x509.RevocationList{
		"list":  {ExtraExtensions: []pkix.Extension{unknownCritical()}},
		"entry": {RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: w.at, ExtraExtensions: []pkix.Extension{unknownCritical()}}}},
	} {
		if _, err := parseCRL(sign(list), w.Root.Cert()); err == nil || !strings.Contains(err.Error(), "critical") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
