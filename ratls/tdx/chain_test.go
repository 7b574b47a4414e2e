package tdx

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"
	"time"
)

// chainOf is a quote that carries the chain of a world.
func chainOf(w *world) *Quote {
	return &Quote{PCKChain: [][]byte{w.leaf.cert.Raw, w.ca.cert.Raw, w.root.cert.Raw}}
}

func TestGoodChainIsReturned(t *testing.T) {
	w := newWorld(t, nil)
	c, err := chainOf(w).VerifyChain(w.root.cert, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Leaf.Equal(w.leaf.cert) || !c.Intermediate.Equal(w.ca.cert) || !c.Root.Equal(w.root.cert) {
		t.Error("the certificates are in another order")
	}
}

func TestBothCAsMayIssue(t *testing.T) {
	for _, name := range []string{"Intel SGX PCK Platform CA", "Intel SGX PCK Processor CA"} {
		w := newWorld(t, func(c *certs) { c.ca.Subject.CommonName = name })
		if _, err := chainOf(w).VerifyChain(w.root.cert, testTime); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Each case breaks one rule.
func TestChainRules(t *testing.T) {
	stranger := newWorld(t, nil)
	usage := func(u x509.KeyUsage) func(*x509.Certificate) { return func(c *x509.Certificate) { c.KeyUsage = u } }
	noCA := func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, 0, false }
	noUsage := usage(x509.KeyUsageCRLSign)
	for _, c := range []struct {
		want   string
		change func(*certs)
	}{
		{`leaf: name is "Intel SGX TCB Signing"`, func(c *certs) { c.leaf.Subject.CommonName = "Intel SGX TCB Signing" }},
		{`leaf: name is "Intel SGX Attestation Report Signing"`, func(c *certs) { c.leaf.Subject.CommonName = "Intel SGX Attestation Report Signing" }},
		{`intermediate: name is "Intel SGX Root CA"`, func(c *certs) { c.ca.Subject.CommonName = "Intel SGX Root CA" }},
		{`root: name is "My Root CA"`, func(c *certs) { c.root.Subject.CommonName = "My Root CA" }},
		{"leaf: key is not on the curve P-256", func(c *certs) { c.leafKey = newKey(t, elliptic.P384()) }},
		{"intermediate: key is not on the curve P-256", func(c *certs) { c.caKey = newKey(t, elliptic.P384()) }},
		{"root: key is not on the curve P-256", func(c *certs) { c.rootKey = newKey(t, elliptic.P384()) }},
		{"leaf: signed with ECDSA-SHA384", func(c *certs) { c.leaf.SignatureAlgorithm = x509.ECDSAWithSHA384 }},
		{"intermediate: signed with ECDSA-SHA384", func(c *certs) { c.ca.SignatureAlgorithm = x509.ECDSAWithSHA384 }},
		{"root: signed with ECDSA-SHA384", func(c *certs) { c.root.SignatureAlgorithm = x509.ECDSAWithSHA384 }},
		{"leaf: is a CA", func(c *certs) { c.leaf.IsCA, c.leaf.KeyUsage = true, x509.KeyUsageCertSign }},
		{"leaf: key usage does not allow signatures", func(c *certs) { usage(x509.KeyUsageKeyAgreement)(&c.leaf) }},
		{"intermediate: is not a CA that may sign certificates", func(c *certs) { noCA(&c.ca) }},
		{"intermediate: is not a CA that may sign certificates", func(c *certs) { noUsage(&c.ca) }},
		{"intermediate: is not limited to path length 0", func(c *certs) { c.ca.MaxPathLen, c.ca.MaxPathLenZero = 1, false }},
		{"intermediate: is not limited to path length 0", func(c *certs) { c.ca.MaxPathLen, c.ca.MaxPathLenZero = -1, false }},
		{"root: is not a CA that may sign certificates", func(c *certs) { noCA(&c.root) }},
		{"root: is not a CA that may sign certificates", func(c *certs) { noUsage(&c.root) }},
		{"too many intermediates", func(c *certs) { c.root.MaxPathLen, c.root.MaxPathLenZero = 0, true }},
		{"intermediate: not issued by the root", func(c *certs) { c.caSigner = &stranger.root }},
		{"leaf: x509: certificate signed by unknown authority", func(c *certs) { c.leafSigner = &stranger.ca }},
		{"unhandled critical extension", func(c *certs) {
			x := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
			c.leaf.ExtraExtensions = append(c.leaf.ExtraExtensions, x)
		}},
	} {
		w := newWorld(t, c.change)
		chain, err := chainOf(w).VerifyChain(w.root.cert, testTime)
		wantError(t, err, c.want)
		if chain != nil {
			t.Errorf("%s: a chain with the error", c.want)
		}
	}
}

// A leaf that the root itself issued must not come in with an intermediate beside it.
func TestLeafIssuedByTheRootIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	leaf := template("Intel SGX PCK Certificate", 4, false, 0)
	q := chainOf(w)
	q.PCKChain[0] = rawCertificate(t, &leaf, &w.root)
	_, err := q.VerifyChain(w.root.cert, testTime)
	wantError(t, err, "leaf: not issued by the intermediate")
}

// rawCertificate is one of a new key, not parsed.
func rawCertificate(t *testing.T, c *x509.Certificate, signer *issued) []byte {
	t.Helper()
	key := newKey(t, elliptic.P256())
	der, err := x509.CreateCertificate(rand.Reader, c, signer.cert, &key.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestRootMustBeTheTrustedOne(t *testing.T) {
	w, stranger := newWorld(t, nil), newWorld(t, nil)
	for _, root := range []*x509.Certificate{stranger.root.cert, realRoot(t), nil} {
		_, err := chainOf(w).VerifyChain(root, testTime)
		wantError(t, err, "its root is not the trusted root")
	}
	// The right name and the right certificate at the end do not help.
	q := chainOf(stranger)
	q.PCKChain[2] = w.root.cert.Raw
	_, err := q.VerifyChain(w.root.cert, testTime)
	wantError(t, err, "intermediate: not issued by the root")
}

func TestOrderOfTheChainMatters(t *testing.T) {
	w := newWorld(t, nil)
	for _, order := range [][3]int{{1, 0, 2}, {0, 2, 1}, {2, 1, 0}, {0, 0, 2}, {0, 2, 2}, {1, 1, 2}} {
		good, q := chainOf(w).PCKChain, &Quote{}
		for _, i := range order {
			q.PCKChain = append(q.PCKChain, good[i])
		}
		if _, err := q.VerifyChain(w.root.cert, testTime); err == nil {
			t.Errorf("order %d: accepted", order)
		}
	}
}

func TestCertificatesAreValidForAWhile(t *testing.T) {
	for role, which := range map[string]func(*certs) *x509.Certificate{
		"leaf":         func(c *certs) *x509.Certificate { return &c.leaf },
		"intermediate": func(c *certs) *x509.Certificate { return &c.ca },
		"root":         func(c *certs) *x509.Certificate { return &c.root },
	} {
		from, to := testTime, testTime.Add(time.Hour)
		w := newWorld(t, func(c *certs) { which(c).NotBefore, which(c).NotAfter = from, to })
		for _, at := range []time.Time{from, to} {
			if _, err := chainOf(w).VerifyChain(w.root.cert, at); err != nil {
				t.Errorf("%s at %s: %v", role, at, err)
			}
		}
		_, err := chainOf(w).VerifyChain(w.root.cert, from.Add(-time.Second))
		wantError(t, err, role+": not valid before 2026-03-01T00:00:00Z")
		_, err = chainOf(w).VerifyChain(w.root.cert, to.Add(time.Second))
		wantError(t, err, role+": not valid after 2026-03-01T01:00:00Z")
	}
}

// crypto/x509 takes the zero time for now: a caller who forgot to set it would
// have verified against another clock than his own.
func TestZeroTimeIsNotNow(t *testing.T) {
	w := newWorld(t, nil)
	_, err := chainOf(w).VerifyChain(w.root.cert, time.Time{})
	wantError(t, err, "leaf: not valid before")
}

// Before version 3 a certificate could not say that it is not a CA's. crypto/x509
// writes no such, so the rule is asked alone.
func TestOldCertificatesAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	old := *w.leaf.cert
	old.Version = 1
	c := Chain{Leaf: &old, Intermediate: w.ca.cert, Root: w.root.cert}
	wantError(t, c.checkEach(testTime), "leaf: X.509 version 1, want 3")
}

func TestBrokenCertificatesAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	for i, want := range []string{"certificate 1: ", "certificate 2: ", "certificate 3: "} {
		for _, bad := range [][]byte{nil, w.leaf.cert.Raw[:100], append(slices.Clone(w.leaf.cert.Raw), 0)} {
			q := chainOf(w)
			q.PCKChain[i] = bad
			_, err := q.PCKCertificates()
			wantError(t, err, want)
		}
	}
	_, err := new(Quote).PCKCertificates()
	wantError(t, err, "has 0 certificates, want 3")
}
