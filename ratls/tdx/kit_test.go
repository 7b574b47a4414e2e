package tdx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// A world of one platform: what Intel and its quoting enclave would do, with keys
// made for the test. The encoders here share nothing with the package.

var testTime = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type world struct {
	root, ca, leaf issued
	attestation    *ecdsa.PrivateKey
}

// certs is what a world's certificates are made from, for a test to change.
type certs struct {
	root, ca, leaf                   x509.Certificate
	rootSigner, caSigner, leafSigner *issued // nil: the one above
	rootKey, caKey, leafKey          *ecdsa.PrivateKey
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func template(name string, serial int64, ca bool, pathLen int) x509.Certificate {
	c := x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Intel Corporation"}},
		NotBefore:    testTime.AddDate(-1, 0, 0),
		NotAfter:     testTime.AddDate(6, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,

		SignatureAlgorithm:    x509.ECDSAWithSHA256,
		BasicConstraintsValid: true,
	}
	if ca {
		c.IsCA, c.MaxPathLen, c.MaxPathLenZero = true, pathLen, pathLen == 0
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	return c
}

// newWorld makes a world of the Platform CA; change may be nil.
func newWorld(t testing.TB, change func(*certs)) *world {
	t.Helper()
	c := &certs{
		root:    template("Intel SGX Root CA", 1, true, 1),
		ca:      template("Intel SGX PCK Platform CA", 2, true, 0),
		leaf:    template("Intel SGX PCK Certificate", 3, false, 0),
		rootKey: newKey(t, elliptic.P256()), caKey: newKey(t, elliptic.P256()), leafKey: newKey(t, elliptic.P256()),
	}
	c.leaf.ExtraExtensions = []pkix.Extension{{Id: sgxArc(), Value: goodExtension(t)}}
	if change != nil {
		change(c)
	}
	w := &world{attestation: newKey(t, elliptic.P256())}
	w.root = issue(t, &c.root, c.rootKey, c.rootSigner)
	w.ca = issue(t, &c.ca, c.caKey, or(c.caSigner, &w.root))
	w.leaf = issue(t, &c.leaf, c.leafKey, or(c.leafSigner, &w.ca))
	return w
}

func or(a, b *issued) *issued {
	if a != nil {
		return a
	}
	return b
}

// issue has signer make a certificate; without one, it signs itself.
func issue(t testing.TB, c *x509.Certificate, key *ecdsa.PrivateKey, signer *issued) issued {
	t.Helper()
	parent, by := c, key
	if signer != nil {
		parent, by = signer.cert, signer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert, key}
}

func (w *world) pem() []byte { return pemOf(w.leaf.cert, w.ca.cert, w.root.cert) }

func pemOf(list ...*x509.Certificate) (text []byte) {
	for _, c := range list {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return append(text, 0)
}

func sgxArc(arcs ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, arcs...)
}

// An entry of the SGX extension.
type entry struct {
	ID    asn1.ObjectIdentifier
	Value any
}

// goodEntries lists the extension and the TCB in it as real certificates have them.
func goodEntries() (extension, tcb []entry) {
	for i := range 16 {
		tcb = append(tcb, entry{sgxArc(2, i+1), i * 16})
	}
	tcb = append(tcb, entry{sgxArc(2, 17), 0x1234}, entry{sgxArc(2, 18), []byte("cpusvn..........")})
	extension = []entry{
		{sgxArc(1), []byte("ppid............")},
		{sgxArc(2), tcb},
		{sgxArc(3), []byte{7, 8}},
		{sgxArc(4), []byte{0x90, 0xc0, 0x6f, 0, 0, 1}},
		{sgxArc(5), asn1.Enumerated(1)},
		{sgxArc(6), []byte("platform id.....")},
		{sgxArc(7), []entry{{sgxArc(7, 1), true}}},
	}
	return extension, tcb
}

func goodExtension(t testing.TB) []byte {
	list, _ := goodEntries()
	return encode(t, list)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A draft is a quote before it is signed.
type draft struct {
	version, keyType uint16
	tee              uint32
	vendor           string
	bodyType         uint16 // of version 5
	bodySize         int    // 0: what it is
	report           []byte

	outerType, innerType uint16
	qeReport             []byte // its report data is filled in, unless bound
	auth, certs          []byte
	bound                bool

	trailing []byte
}

func (w *world) draft(version, bodyType uint16) *draft {
	size := 584
	if bodyType == 3 {
		size = 648
	}
	d := &draft{
		version: version, keyType: 2, tee: 0x81, bodyType: bodyType,
		vendor:    "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07",
		report:    numbered(size),
		outerType: 6, innerType: 5,
		qeReport: numbered(384), auth: numbered(32), certs: w.pem(),
	}
	clear(d.qeReport[320:])
	return d
}

// numbered is n bytes of which no two runs are alike.
func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i/251)
	}
	return b
}

func le[T uint16 | uint32](n T) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, n)
	if err != nil {
		panic(err)
	}
	return b
}

// build signs from the bottom up: the QE's report, then the quote.
func (w *world) build(t testing.TB, d *draft) []byte {
	t.Helper()
	key, err := w.attestation.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key = key[1:]
	if !d.bound {
		sum := sha256.Sum256(append(append([]byte{}, key...), d.auth...))
		copy(d.qeReport[320:], sum[:])
	}
	signed := join(le(d.version), le(d.keyType), le(d.tee), []byte("resv"), []byte(d.vendor), numbered(20))
	if d.version == 5 {
		size := d.bodySize
		if size == 0 {
			size = len(d.report)
		}
		signed = join(signed, le(d.bodyType), le(uint32(size)))
	}
	signed = join(signed, d.report)
	inner := join(d.qeReport, sign(t, w.leaf.key, d.qeReport), le(uint16(len(d.auth))), d.auth,
		le(d.innerType), le(uint32(len(d.certs))), d.certs)
	data := join(sign(t, w.attestation, signed), key, le(d.outerType), le(uint32(len(inner))), inner)
	return join(signed, le(uint32(len(data))), data, d.trailing)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func sign(t testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

func parse(t testing.TB, raw []byte) *Quote {
	t.Helper()
	q, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// verifyAll makes the four checks and returns the first error.
func verifyAll(q *Quote, root *x509.Certificate, now time.Time) error {
	chain, err := q.VerifyChain(root, now)
	if err != nil {
		return err
	}
	if err := q.VerifyQEReport(chain.Leaf); err != nil {
		return err
	}
	if err := q.VerifyAttestationKey(); err != nil {
		return err
	}
	return q.VerifySignature()
}

func wantError(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
