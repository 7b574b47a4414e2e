package tdxpki

import (
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
)

// Bits of a TD's attributes.
const (
	AttributeDebug         = 1 << 0
	AttributeSEPTVEDisable = 1 << 28
)

// A TDReport is what a quote says of a trust domain (TD).
type TDReport struct {
	TEETCBSVN      [16]byte // [0] the TDX module's ISVSVN, [1] its number, [2] its late microcode
	MRSeam         [48]byte
	MRSignerSeam   [48]byte
	SeamAttributes [8]byte
	TDAttributes   uint64
	XFAM           uint64
	MRTD           [48]byte
	MRConfigID     [48]byte
	MROwner        [48]byte
	MROwnerConfig  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte
	TEETCBSVN2     [16]byte // this and the next: TD 1.5 only
	MRServiceTD    [48]byte
}

// newTDReport is a TD's under module 1, with the attributes of dstack's machines.
// Its four registers are those of an empty log.
func (p *PKI) newTDReport() TDReport {
	svn := [16]byte{SVNUpToDate, 1, 4}
	return TDReport{
		TEETCBSVN: svn, TEETCBSVN2: svn,
		MRSeam:       p.measurement("seam"),
		TDAttributes: AttributeSEPTVEDisable,
		XFAM:         0x602e7,
		MRTD:         p.measurement("firmware"),
	}
}

// measurement is 48 bytes that stand for a piece of software.
func (p *PKI) measurement(of string) [48]byte {
	return sha512.Sum384(p.bytes([]byte("measurement "+of), 32))
}

func (r *TDReport) encode(service bool) []byte {
	b := append([]byte(nil), r.TEETCBSVN[:]...)
	b = append(b, r.MRSeam[:]...)
	b = append(b, r.MRSignerSeam[:]...)
	b = append(b, r.SeamAttributes[:]...)
	b = binary.LittleEndian.AppendUint64(b, r.TDAttributes)
	b = binary.LittleEndian.AppendUint64(b, r.XFAM)
	b = append(b, r.MRTD[:]...)
	b = append(b, r.MRConfigID[:]...)
	b = append(b, r.MROwner[:]...)
	b = append(b, r.MROwnerConfig[:]...)
	for i := range r.RTMR {
		b = append(b, r.RTMR[i][:]...)
	}
	b = append(b, r.ReportData[:]...)
	if service {
		b = append(b, r.TEETCBSVN2[:]...)
		b = append(b, r.MRServiceTD[:]...)
	}
	return b
}

// An EnclaveReport is what a quote says of the quoting enclave (QE).
type EnclaveReport struct {
	CPUSVN     [16]byte
	MiscSelect uint32
	Attributes [16]byte
	MREnclave  [32]byte
	MRSigner   [32]byte
	ISVProdID  uint16
	ISVSVN     uint16
	ReportData [64]byte // by Bind
}

// qeSigner is who signs Intel's TD quoting enclave.
const qeSigner = "dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5"

func (p *PKI) newQEReport() EnclaveReport {
	return EnclaveReport{
		CPUSVN:     [16]byte{4, 4, 0x19, 0x1b, 4, 0xff, 0, 6},
		Attributes: [16]byte{0: 0x15, 8: 0xe7},
		MREnclave:  [32]byte(p.bytes([]byte("qe"), 32)),
		MRSigner:   [32]byte(must(hex.DecodeString(qeSigner))),
		ISVProdID:  2, ISVSVN: SVNUpToDate,
	}
}

// encode writes the body of an SGX report, 384 bytes.
func (r *EnclaveReport) encode() []byte {
	b := make([]byte, 384)
	copy(b[0:], r.CPUSVN[:])
	binary.LittleEndian.PutUint32(b[16:], r.MiscSelect)
	copy(b[48:], r.Attributes[:])
	copy(b[64:], r.MREnclave[:])
	copy(b[128:], r.MRSigner[:])
	binary.LittleEndian.PutUint16(b[256:], r.ISVProdID)
	binary.LittleEndian.PutUint16(b[258:], r.ISVSVN)
	copy(b[320:], r.ReportData[:])
	return b
}
