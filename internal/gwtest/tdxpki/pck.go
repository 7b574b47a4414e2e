package tdxpki

import (
	"crypto/x509/pkix"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// PCK is what the certificate of a machine's provisioning certification key says
// of the machine, in the extension 1.2.840.113741.1.13.1 (Intel SGX PCK
// Certificate and CRL Profile Specification, 1.3.5).
type PCK struct {
	PPID       [16]byte
	Components [16]byte  // the SVNs of the SGX TCB's parts; see the levels of [PKI.TCBInfo]
	CPUSVN     *[16]byte // nil: the bytes of Components, as on Intel's machines
	PCESVN     uint16
	PCEID      [2]byte
	FMSPC      [6]byte // the kind of machine, by which TCB info is found
	SGXType    int     // 0 standard, 1 scalable
	// Instance is of machines of several packages; the Processor CA's
	// certificates have none.
	Instance *PlatformInstance
}

// PlatformInstance is what a machine of several packages has besides.
type PlatformInstance struct {
	ID                                      [16]byte
	DynamicPlatform, CachedKeys, SMTEnabled bool
}

func (p *PKI) newPCK() PCK {
	return PCK{
		PPID:       [16]byte(p.bytes([]byte("ppid"), 16)),
		Components: [16]byte{SVNUpToDate, 4, 2, 2, 4, 1, 0, 5},
		PCESVN:     13, FMSPC: [6]byte{0x90, 0xc0, 0x6f}, SGXType: 1,
		Instance: &PlatformInstance{ID: [16]byte(p.bytes([]byte("instance"), 16)), DynamicPlatform: true, CachedKeys: true, SMTEnabled: true},
	}
}

// Certify issues a PCK certificate for the world's machine: Platform's or
// Processor's, by whose name it says where revocations are found.
func (p *PKI) Certify(pck PCK, by *Entity) *Entity {
	crl := platformCRLURL
	if by.Template.Subject == processorName {
		crl = processorCRLURL
	}
	t := p.template(pckName, "pck", crl, LeafUsage)
	t.Serial = p.bytes([]byte("pck serial"), 20)
	t.NotBefore, t.NotAfter = p.Now.Add(-year), p.Now.Add(6*year)
	t.Extra = []pkix.Extension{pck.Extension()}
	return Issue(t, p.Key("pck"), by)
}

// SetPCK certifies the machine again with a change, by its present authority.
// Quotes that were made before keep the old certificate.
func (p *PKI) SetPCK(change func(*PCK)) {
	change(&p.PCK)
	p.Leaf = p.Certify(p.PCK, p.Issuer())
}

// UseProcessorCA has the machine certified by the Processor CA, as those of one
// package are.
func (p *PKI) UseProcessorCA() {
	p.PCK.Instance, p.PCK.SGXType = nil, 0
	p.Leaf = p.Certify(p.PCK, p.Processor)
}

// Issuer is the authority that has certified the machine.
func (p *PKI) Issuer() *Entity {
	if p.Leaf.Template.Issuer == processorName {
		return p.Processor
	}
	return p.Platform
}

// Extension encodes the machine's description: a SEQUENCE of pairs of an
// identifier and a value, two of them nested.
func (k PCK) Extension() pkix.Extension {
	return pkix.Extension{Id: sgxArc(), Value: build(func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addPair(b, sgxArc(1), func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.PPID[:]) })
			addPair(b, sgxArc(2), k.addTCB)
			addPair(b, sgxArc(3), func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.PCEID[:]) })
			addPair(b, sgxArc(4), func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.FMSPC[:]) })
			addPair(b, sgxArc(5), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(k.SGXType)) })
			if k.Instance != nil {
				addPair(b, sgxArc(6), func(b *cryptobyte.Builder) { b.AddASN1OctetString(k.Instance.ID[:]) })
				addPair(b, sgxArc(7), k.Instance.addConfiguration)
			}
		})
	})}
}

func (k PCK) addTCB(b *cryptobyte.Builder) {
	cpuSVN := k.Components
	if k.CPUSVN != nil {
		cpuSVN = *k.CPUSVN
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, svn := range k.Components {
			addPair(b, sgxArc(2, i+1), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(svn)) })
		}
		addPair(b, sgxArc(2, 17), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(k.PCESVN)) })
		addPair(b, sgxArc(2, 18), func(b *cryptobyte.Builder) { b.AddASN1OctetString(cpuSVN[:]) })
	})
}

func (i *PlatformInstance) addConfiguration(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for n, flag := range []bool{i.DynamicPlatform, i.CachedKeys, i.SMTEnabled} {
			addPair(b, sgxArc(7, n+1), func(b *cryptobyte.Builder) { b.AddASN1Boolean(flag) })
		}
	})
}

// addPair writes SEQUENCE { identifier, value }.
func addPair(b *cryptobyte.Builder, id asn1.ObjectIdentifier, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		value(b)
	})
}

func sgxArc(tail ...int) asn1.ObjectIdentifier {
	return append(asn1.ObjectIdentifier{1, 2, 840, 113741, 1, 13, 1}, tail...)
}
