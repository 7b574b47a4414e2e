package tdxpki

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
)

// Body types of version 5.
const (
	BodyTD10 = 2
	BodyTD15 = 3
)

// A Quote is a TDX quote (Intel TDX DCAP Quote Generation Library, appendix A)
// before and after it is signed. It is made from the bottom up:
//
//	Bind     the QE's report takes up the attestation key
//	SignQE   the PCK signs the QE's report
//	SignTD   the attestation key signs header and TD report
//	Encode   everything, as it stands
//
// Build is the four together. What is changed between two steps is not covered
// by those before: so a test breaks one layer and leaves the others whole.
type Quote struct {
	Version            uint16 // 4 or 5
	AttestationKeyType uint16
	TEEType            uint32
	QESVN, PCESVN      uint16 // reserved in a TDX quote: zero
	QEVendor           [16]byte
	UserData           [20]byte
	BodyType           uint16 // of version 5; in version 4 the body is always a TD 1.0 report
	TD                 TDReport

	Signature      [64]byte // by SignTD
	AttestationKey *ecdsa.PrivateKey

	CertificationType uint16 // 6: a QE report
	QE                EnclaveReport
	QESignature       [64]byte // by SignQE
	PCK               *ecdsa.PrivateKey
	AuthData          []byte
	PCKType           uint16 // 5: a chain in PEM
	PCKData           []byte
	Trailing          []byte // behind the signature data, covered by nothing; real quotes have 70 NULs
}

// Quote is a good version 4 quote of the world's machine, not signed yet.
func (p *PKI) Quote() *Quote {
	q := &Quote{
		Version: 4, AttestationKeyType: 2, TEEType: 0x81,
		QEVendor: [16]byte{0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07},
		UserData: [20]byte(p.bytes([]byte("qe id"), 20)),
		BodyType: BodyTD10,
		TD:       p.newTDReport(),

		AttestationKey:    p.Key("attestation"),
		CertificationType: 6,
		QE:                p.newQEReport(),
		PCK:               p.Leaf.Key,
		PCKType:           5,
	}
	for i := range byte(32) { // what Intel's QE takes
		q.AuthData = append(q.AuthData, i)
	}
	q.SetChain(p.Leaf, p.Issuer(), p.Root)
	return q
}

// QuoteV5 is a good version 5 quote of a TD 1.5, not signed yet.
func (p *PKI) QuoteV5() *Quote {
	q := p.Quote()
	q.Version, q.BodyType = 5, BodyTD15
	return q
}

// SetChain puts certificates into the certification data as Intel's QE does: in
// PEM, leaf first, with a NUL at the end. It does not change who signs.
func (q *Quote) SetChain(chain ...*Entity) { q.PCKData = append(PEM(chain...), 0) }

// Bind has the QE vouch for the attestation key and the authentication data.
func (q *Quote) Bind() {
	sum := sha256.Sum256(append(q.key(), q.AuthData...))
	q.QE.ReportData = [64]byte{}
	copy(q.QE.ReportData[:], sum[:])
}

// SignQE has the PCK vouch for the QE.
func (q *Quote) SignQE() { q.QESignature = rawSignature(q.PCK, q.QE.encode()) }

// SignTD has the attestation key vouch for the TD.
func (q *Quote) SignTD() { q.Signature = rawSignature(q.AttestationKey, q.signed()) }

// Build does all steps and returns the quote.
func (q *Quote) Build() []byte {
	q.Bind()
	q.SignQE()
	q.SignTD()
	return q.Encode()
}

// Encode returns the quote as it stands, signed or not.
func (q *Quote) Encode() []byte {
	var pck []byte
	pck = append(pck, q.QE.encode()...)
	pck = append(pck, q.QESignature[:]...)
	pck = binary.LittleEndian.AppendUint16(pck, uint16(len(q.AuthData)))
	pck = append(pck, q.AuthData...)
	pck = appendTyped(pck, q.PCKType, q.PCKData)

	var data []byte
	data = append(data, q.Signature[:]...)
	data = append(data, q.key()...)
	data = appendTyped(data, q.CertificationType, pck)

	out := binary.LittleEndian.AppendUint32(q.signed(), uint32(len(data)))
	out = append(out, data...)
	return append(out, q.Trailing...)
}

// signed is the part under the TD's signature: the header, in version 5 the
// descriptor of the body, and the body.
func (q *Quote) signed() []byte {
	b := binary.LittleEndian.AppendUint16(nil, q.Version)
	b = binary.LittleEndian.AppendUint16(b, q.AttestationKeyType)
	b = binary.LittleEndian.AppendUint32(b, q.TEEType)
	b = binary.LittleEndian.AppendUint16(b, q.QESVN)
	b = binary.LittleEndian.AppendUint16(b, q.PCESVN)
	b = append(b, q.QEVendor[:]...)
	b = append(b, q.UserData[:]...)
	if q.Version == 4 {
		return append(b, q.TD.encode(false)...)
	}
	return appendTyped(b, q.BodyType, q.TD.encode(q.BodyType == BodyTD15))
}

// key is the attestation key as a quote has it: the point's two coordinates.
func (q *Quote) key() []byte { return must(q.AttestationKey.PublicKey.Bytes())[1:] }

// appendTyped writes a type, a length and what has that length.
func appendTyped(b []byte, kind uint16, data []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}
