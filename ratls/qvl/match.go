package qvl

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"sallyport/ratls/tdx"
)

// This file compares reports with what Intel publishes. The numbers are those of the checks
// in Intel's SGX-TDX-DCAP-QuoteVerificationLibrary.

// checkReport checks that a QE is the one of the identity (4.1.2.9.5 to .8).
func (q *qeIdentity) checkReport(r *tdx.EnclaveReport, check func(name, value string, err error) bool) {
	check("QE MRSIGNER", fmt.Sprintf("%x", r.MRSigner), differ(r.MRSigner[:], q.mrSigner[:]))
	var err error
	if r.ISVProdID != q.isvProdID {
		err = fmt.Errorf("is %d, want %d", r.ISVProdID, q.isvProdID)
	}
	check("QE ISVPRODID", fmt.Sprint(r.ISVProdID), err)
	err = nil
	if r.MiscSelect&q.miscSelectMask != q.miscSelect {
		err = fmt.Errorf("is %08x under the mask %08x, want %08x", r.MiscSelect&q.miscSelectMask, q.miscSelectMask, q.miscSelect)
	}
	check("QE MISCSELECT", fmt.Sprintf("%08x", r.MiscSelect), err)
	check("QE ATTRIBUTES", fmt.Sprintf("%x", r.Attributes), q.checkAttributes(r.Attributes))
}

// checkAttributes refuses a debug enclave even if the mask would accept it: the host can
// read its memory, and with it the attestation key.
func (q *qeIdentity) checkAttributes(a [16]byte) error {
	const debug = 1 << 1 // SGX ATTRIBUTES.DEBUG
	if a[0]&debug != 0 {
		return fmt.Errorf("debug (bit 1) is set")
	}
	for i, mask := range q.attributesMask {
		if a[i]&mask != q.attributes[i] {
			return fmt.Errorf("byte %d is %02x under the mask %02x, want %02x", i, a[i]&mask, mask, q.attributes[i])
		}
	}
	return nil
}

// moduleOf returns the identity for a TD's module (4.1.2.4.11). The number of the module is
// TEE_TCB_SVN[1], which is 0 for TDX 1.0.
func (t *tcbInfo) moduleOf(td *tdx.Report) (name string, m *module, err error) {
	number := td.TEETCBSVN[1]
	if number == 0 {
		return "TDX 1.0", &t.module, nil
	}
	name = fmt.Sprintf("TDX_%02X", number)
	found, ok := t.modules[name]
	if !ok {
		return name, nil, fmt.Errorf("TCB info has no identity of %s", name)
	}
	return name, &found, nil
}

// checkAttributes compares SEAMATTRIBUTES. A bit outside the mask must be zero. Intel's
// library requires all bits to be zero.
func (m *module) checkAttributes(a uint64) error {
	want, mask := binary.LittleEndian.Uint64(m.attributes[:]), binary.LittleEndian.Uint64(m.attributesMask[:])
	if a&mask != want || a&^mask != 0 {
		return fmt.Errorf("want %016x under the mask %016x and zeros elsewhere", want, mask)
	}
	return nil
}

// level returns the level of the module by its ISVSVN, TEE_TCB_SVN[0] (4.1.2.4.17.4.1). The
// module of TDX 1.0 has no levels: its version is part of the platform's.
func (m *module) level(td *tdx.Report) (Level, error) {
	if td.TEETCBSVN[1] == 0 {
		return Level{Status: UpToDate}, nil
	}
	return findSVNLevel(m.levels, uint16(td.TEETCBSVN[0]))
}

// find returns the level of the platform: the first whose components it all reaches
// (4.1.2.4.17.1 to .3). If the module has an identity of its own, only that rates its two
// bytes of TEE_TCB_SVN; dcap-qvl compares them here too.
func (t *tcbInfo) find(pck *tdx.PCK, td *tdx.Report) (Level, error) {
	from := 0
	if td.TEETCBSVN[1] > 0 {
		from = 2
	}
	for _, l := range t.levels {
		if reaches(pck.TCBComponents[:], l.sgx[:]) && pck.PCESVN >= l.pceSVN &&
			reaches(td.TEETCBSVN[from:], l.tdx[from:]) {
			return l.Level, nil
		}
	}
	return Level{}, fmt.Errorf("no TCB level matches: the platform is below all of them")
}

// reaches reports whether no component is below that of the level. Both have the same length.
func reaches(have, want []byte) bool {
	for i := range want {
		if have[i] < want[i] {
			return false
		}
	}
	return true
}

func differ(have, want []byte) error {
	if bytes.Equal(have, want) {
		return nil
	}
	return fmt.Errorf("is %x, want %x", have, want)
}
