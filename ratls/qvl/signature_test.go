package qvl

import (
	"crypto/rand"
	"crypto/x509"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

// Who signed what: each signature and each certificate between a quote and the root.

func TestBrokenQuoteIsRefused(t *testing.T) {
	after := func(change func(*tdxpki.Quote)) func(*world) {
		return func(w *world) { w.changeQuote = change }
	}
	checkBreaches(t, []breach{
		{"header is changed", "quote signature", "does not match the attestation key", after(func(q *tdxpki.Quote) { q.UserData[0] ^= 1 })},
		{"TD report is changed", "quote signature", "does not match the attestation key", after(func(q *tdxpki.Quote) { q.TD.MRTD[0] ^= 1 })},
		{"QE report is changed", "QE report signature", "does not match the PCK", after(func(q *tdxpki.Quote) { q.QE.MREnclave[0] ^= 1 })},
		{"auth data is changed", "attestation key binding", "report data", after(func(q *tdxpki.Quote) { q.AuthData[0] ^= 1 })},
		{"another attestation key", "attestation key binding", "report data", func(w *world) {
			w.changeQuote = func(q *tdxpki.Quote) { q.AttestationKey = w.forger.Key("attestation"); q.SignTD() }
		}},
		{"another platform's key signs the QE", "QE report signature", "does not match the PCK", func(w *world) { w.quote.PCK = w.forger.Leaf.Key }},
		{"chain of a forger", "PCK certificates; PCK certificate revocation", "root is not the trusted root", func(w *world) {
			w.quote.PCK = w.forger.Leaf.Key
			w.quote.SetChain(w.forger.Leaf, w.forger.Platform, w.forger.Root)
		}},
		{"forger's chain with the true root", "PCK certificates; PCK certificate revocation", "", func(w *world) {
			w.quote.PCK = w.forger.Leaf.Key
			w.quote.SetChain(w.forger.Leaf, w.forger.Platform, w.Root)
		}},
		{"PCK certificate by another key", "PCK certificates", "", func(w *world) {
			w.quote.SetChain(w.Certify(w.PCK, w.Platform.WithKey(w.forger.Platform.Key)), w.Platform, w.Root)
		}},
		{"PCK certificate is not valid yet", "PCK certificates", "not valid before", func(w *world) {
			w.quote.SetChain(w.Leaf.Reissue(w.Platform, func(t *tdxpki.Template) { t.NotBefore = w.at.Add(1e9) }), w.Platform, w.Root)
		}},
		{"PCK certificate has expired", "PCK certificates", "not valid after", func(w *world) {
			w.quote.SetChain(w.Leaf.Reissue(w.Platform, func(t *tdxpki.Template) { t.NotAfter = w.at.Add(-1e9) }), w.Platform, w.Root)
		}},
		{"PCK CA has expired", "PCK certificates", "not valid after", func(w *world) {
			ca := w.Platform.Reissue(w.Root, func(t *tdxpki.Template) { t.NotAfter = w.at.Add(-1e9) })
			w.quote.SetChain(w.Leaf, ca, w.Root)
		}},
		{"TCB signer as PCK CA", "PCK certificates; platform; PCK certificate revocation", "", func(w *world) {
			w.quote.SetChain(w.Certify(w.PCK, w.TCBSigning), w.TCBSigning, w.Root)
		}},
		{"certificate without the platform's facts", "platform", "SGX extension is missing", func(w *world) {
			w.quote.SetChain(w.Leaf.Reissue(w.Platform, func(t *tdxpki.Template) { t.Extra = nil }), w.Platform, w.Root)
		}},
	})
}

func TestSelfMadeWorldIsRefused(t *testing.T) {
	w := newWorld()
	w.PKI = w.forger
	w.quote, w.docs = w.Quote(), w.Collateral()
	if r, err := w.verify(t); err == nil {
		t.Fatalf("passes with status %s", r.Status)
	}
	w.root = IntelRoot()
	if r, err := w.verify(t); err == nil {
		t.Fatalf("passes below Intel's root with status %s", r.Status)
	}
	w.root = w.Platform.Cert()
	if r, err := w.verify(t); err == nil || stepOf(r, "root certificate").Err == nil {
		t.Fatalf("passes below what is no root: %v", err)
	}
}

func TestRootMustBeOne(t *testing.T) {
	for name, change := range map[string]func(*tdxpki.Template){
		"name":    func(t *tdxpki.Template) { t.Subject, t.Issuer = "Intel SGX Root", "Intel SGX Root" },
		"issuer":  func(t *tdxpki.Template) { t.Issuer = "Intel SGX PCK Platform CA" },
		"no CA":   func(t *tdxpki.Template) { t.CA = false },
		"its use": func(t *tdxpki.Template) { t.KeyUsage = tdxpki.LeafUsage },
	} {
		w := newWorld()
		if err := checkRoot(w.Root.Cert()); err != nil {
			t.Fatal(err)
		}
		if err := checkRoot(w.Root.Reissue(nil, change).Cert()); err == nil {
			t.Errorf("%s: taken for a root", name)
		}
	}
}

// otherHash is the TCB signer with a certificate over SHA-384.
func otherHash(w *world) *tdxpki.Entity {
	c := w.TCBSigning.Cert()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		RawSubject: c.RawSubject, SerialNumber: c.SerialNumber, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		BasicConstraintsValid: true, KeyUsage: c.KeyUsage, SignatureAlgorithm: x509.ECDSAWithSHA384,
	}, w.root, &w.TCBSigning.Key.PublicKey, w.Root.Key)
	if err != nil {
		panic(err)
	}
	return &tdxpki.Entity{DER: der, Key: w.TCBSigning.Key}
}

func TestBrokenCollateralSignatureIsRefused(t *testing.T) {
	by := func(change func(w *world) (*tdxpki.Entity, *tdxpki.Entity)) func(*world) {
		return func(w *world) {
			signer, root := change(w)
			w.docs.TCBInfoChain = []*tdxpki.Entity{signer, root}
		}
	}
	reissued := func(change func(*world, *tdxpki.Template)) func(*world) {
		return by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.TCBSigning.Reissue(w.Root, func(t *tdxpki.Template) { change(w, t) }), w.Root
		})
	}
	checkBreaches(t, []breach{
		{"TCB info is changed", "TCB info signature", "does not verify with the key of", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.TCBInfo = append(d.TCBInfo, ' ') }
		}},
		{"QE identity is changed", "QE identity signature", "does not verify with the key of", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.QEIdentity = append(d.QEIdentity, ' ') }
		}},
		{"signatures are swapped", "TCB info signature; QE identity signature", "does not verify with the key of", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) {
				d.TCBInfoSignature, d.QEIdentitySignature = d.QEIdentitySignature, d.TCBInfoSignature
			}
		}},
		{"signature is cut", "TCB info signature", "63 bytes", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.TCBInfoSignature = d.TCBInfoSignature[:63] }
		}},
		{"another key signs TCB info", "TCB info signature", "does not verify with the key of", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.TCBSigning.WithKey(w.forger.TCBSigning.Key), w.Root
		})},
		{"another key signs the QE identity", "QE identity signature", "does not verify with the key of", func(w *world) {
			w.docs.QEIdentityChain = []*tdxpki.Entity{w.TCBSigning.WithKey(w.forger.TCBSigning.Key), w.Root}
		}},
		{"forger's signer", "TCB info issuer", "not the trusted root", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.forger.TCBSigning, w.forger.Root
		})},
		{"forger's signer with the true root", "TCB info issuer", "not signed by", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.forger.TCBSigning, w.Root
		})},
		{"PCK CA signs TCB info", "TCB info issuer", `name "Intel SGX PCK Platform CA"`, by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.Platform, w.Root
		})},
		{"platform signs its own TCB info", "TCB info issuer; TCB info issuer revocation", "issued by", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.Leaf, w.Root
		})},
		{"PCK CA names itself a signer", "TCB info issuer; TCB info issuer revocation", "issued by", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return w.TCBSigning.Reissue(w.Platform, nil), w.Root
		})},
		{"signer is a CA", "TCB info issuer", "is not marked as a leaf", reissued(func(_ *world, t *tdxpki.Template) { t.CA = true })},
		{"signer may not sign", "TCB info issuer", "key usage does not allow", reissued(func(_ *world, t *tdxpki.Template) { t.KeyUsage = 0x20 })},
		{"signer's certificate has expired", "TCB info issuer window", "has expired", reissued(func(w *world, t *tdxpki.Template) { t.NotAfter = w.at.Add(-1e9) })},
		{"signer's certificate is not valid yet", "TCB info issuer window", "not valid yet", reissued(func(w *world, t *tdxpki.Template) { t.NotBefore = w.at.Add(1e9) })},
		{"signer's certificate has an unknown critical extension", "TCB info issuer", "critical", reissued(func(_ *world, t *tdxpki.Template) {
			t.Extra = append(t.Extra, unknownCritical())
		})},
		{"signer's certificate is signed over another hash", "TCB info issuer", "ECDSA-SHA384", by(func(w *world) (*tdxpki.Entity, *tdxpki.Entity) {
			return otherHash(w), w.Root
		})},
		{"three certificates in the chain", "TCB info issuer", "3 certificates", func(w *world) {
			w.docs.TCBInfoChain = []*tdxpki.Entity{w.TCBSigning, w.Root, w.Root}
		}},
		{"key in the chain", "TCB info issuer", "PRIVATE KEY", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) {
				d.TCBInfoChain = append([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), d.TCBInfoChain...)
			}
		}},
		{"root is missing in the chain", "TCB info issuer", "1 certificates", func(w *world) {
			w.docs.TCBInfoChain = w.docs.TCBInfoChain[:1]
		}},
		{"chain is missing", "QE identity issuer", "0 certificates", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.QEIdentityChain = nil }
		}},
	})
}
