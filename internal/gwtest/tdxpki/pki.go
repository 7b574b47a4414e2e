package tdxpki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"time"
)

// The names of Intel's authorities. Verifiers compare them.
const (
	rootName       = "Intel SGX Root CA"
	platformName   = "Intel SGX PCK Platform CA"
	processorName  = "Intel SGX PCK Processor CA"
	tcbSigningName = "Intel SGX TCB Signing"
	pckName        = "Intel SGX PCK Certificate"
)

// Where Intel's certificates say that their revocation lists are.
const (
	rootCRLURL      = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
	platformCRLURL  = "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
	processorCRLURL = "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=processor&encoding=der"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// A PKI is Intel, and one machine that Intel has certified. Its fields may be
// replaced: what is made afterwards stands on the new ones.
type PKI struct {
	Now time.Time // when everything is valid; whole seconds, UTC

	Root       *Entity
	Platform   *Entity // certifies machines of several packages: the rule for TDX
	Processor  *Entity // certifies machines of one package
	TCBSigning *Entity // signs TCB info and identities

	PCK  PCK     // what Leaf says of the machine
	Leaf *Entity // the machine's PCK, certified by Platform

	seed uint64
}

// New makes the world of a seed, valid around now. It may be called concurrently.
func New(seed uint64, now time.Time) *PKI {
	p := &PKI{Now: now.UTC().Truncate(time.Second), seed: seed}
	root := p.template(rootName, "root", rootCRLURL, AuthorityUsage)
	root.CA, root.PathLen = true, 1
	root.NotAfter = p.Now.Add(23 * year)
	p.Root = Issue(root, p.Key("root"), nil)

	p.Platform = p.authority(platformName, "platform")
	p.Processor = p.authority(processorName, "processor")

	signing := p.template(tcbSigningName, "tcb signing", rootCRLURL, LeafUsage)
	p.TCBSigning = Issue(signing, p.Key("tcb signing"), p.Root)

	p.PCK = p.newPCK()
	p.Leaf = p.Certify(p.PCK, p.Platform)
	return p
}

// Roots trusts this world's root alone.
func (p *PKI) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.Root.Cert())
	return pool
}

// Key returns the P-256 key of this name: always the same one in one world, and
// another one in each other world.
func (p *PKI) Key(name string) *ecdsa.PrivateKey {
	for try := byte(0); ; try++ { // not every 32 bytes are a scalar: one in 2³² is too large
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), p.bytes(append([]byte(name), try), 32))
		if err == nil {
			return key
		}
	}
}

// authority makes one of the two that certify machines.
func (p *PKI) authority(name, label string) *Entity {
	t := p.template(name, label, rootCRLURL, AuthorityUsage)
	t.CA = true
	return Issue(t, p.Key(label), p.Root)
}

// template is what Intel's certificates have in common. The serial number of
// all but the PCK's is their key's identifier.
func (p *PKI) template(subject, label, crl string, usage byte) Template {
	id := keyID(&p.Key(label).PublicKey)
	return Template{
		Serial: id, Subject: subject, SubjectKeyID: id, CRLURL: crl, KeyUsage: usage,
		NotBefore: p.Now.Add(-8 * year), NotAfter: p.Now.Add(7 * year),
	}
}

// bytes derives n ≤ 32 bytes for a purpose.
func (p *PKI) bytes(purpose []byte, n int) []byte {
	seed := binary.BigEndian.AppendUint64([]byte("sallyport tdxpki"), p.seed)
	sum := sha256.Sum256(append(seed, purpose...))
	return sum[:n]
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
