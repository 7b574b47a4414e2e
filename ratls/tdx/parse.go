package tdx

import (
	"bytes"
	"fmt"
)

// The layout, after Intel's "TDX DCAP Quoting Library API", appendix A:
//
//	header                48 bytes
//	body type, size       u16, u32: version 5 only
//	TD report             584 bytes, 648 of TDX 1.5
//	signature data        u32 length:
//	  signature           64, over everything before the length
//	  attestation key     64
//	  certification data  u16 type 6, u32 length, up to the end of the signature data:
//	    QE report         384
//	    QE signature      64, over the QE report
//	    QE auth data      u16 length
//	    certificates      u16 type 5, u32 length, up to the end: PEM
//
// Bytes after the signature data are padding of the buffer (70 zeros in real quotes). No
// signature and no length covers them. They are ignored.

const (
	intelQEVendor = "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07"
	teeTDX        = 0x81
	keyECDSAP256  = 2

	bodyTDX10 = 2
	bodyTDX15 = 3
	sizeTDX10 = 584
	sizeTDX15 = 648

	sizeQEReport = 384

	certPCKChain = 5
	certQEReport = 6
)

// Parse reads a quote of Intel TDX, version 4 or 5. It verifies nothing, and keeps nothing of
// raw. An error names the field and its offset in bytes.
func Parse(raw []byte) (*Quote, error) {
	if len(raw) > MaxQuote {
		return nil, fmt.Errorf("quote: has %d bytes, want at most %d", len(raw), MaxQuote)
	}
	r := &reader{rest: raw}
	q := &Quote{}
	q.readHeader(r)
	q.readBody(r)
	q.signed = bytes.Clone(raw[:r.at])
	q.readSignatureData(r)
	if r.err != nil {
		return nil, r.err
	}
	return q, nil
}

func (q *Quote) readHeader(r *reader) {
	q.Version = int(r.uint16("version"))
	if q.Version != 4 && q.Version != 5 {
		r.failf(0, "version: is %d, want 4 or 5", q.Version)
	}
	if key := r.uint16("attestation key type"); key != keyECDSAP256 {
		r.failf(2, "attestation key type: is %d%s, want 2 (ECDSA P-256)", key, named(keyTypes(key)))
	}
	if tee := r.uint32("TEE type"); tee != teeTDX {
		r.failf(4, "TEE type: is %#x%s, want 0x81 (TDX)", tee, named(teeTypes(tee)))
	}
	r.bytes(4, "reserved") // SVNs of QE and PCE in quotes of SGX
	r.into(q.Header.QEVendor[:], "QE vendor id")
	if string(q.Header.QEVendor[:]) != intelQEVendor {
		r.failf(12, "QE vendor id: is %x, want Intel's, %x", q.Header.QEVendor, intelQEVendor)
	}
	r.into(q.Header.UserData[:], "user data")
}

func (q *Quote) readBody(r *reader) {
	if q.Version == 5 {
		q.TD.HasService = readDescriptor(r)
	}
	q.TD.read(r)
}

// readDescriptor reads the head of a body in version 5. It reports whether the body is of
// TDX 1.5.
func readDescriptor(r *reader) bool {
	at := r.at
	kind, size := r.uint16("body type"), r.uint32("body size")
	want := uint32(sizeTDX10)
	switch kind {
	case bodyTDX10:
	case bodyTDX15:
		want = sizeTDX15
	default:
		r.failf(at, "body type: is %d%s, want 2 (TDX 1.0) or 3 (TDX 1.5)", kind, named(bodyTypes(kind)))
	}
	if size != want {
		r.failf(at+2, "body size: is %d, want %d for type %d", size, want, kind)
	}
	return kind == bodyTDX15
}

func (t *Report) read(r *reader) {
	r.into(t.TEETCBSVN[:], "TEE TCB SVN")
	r.into(t.MRSeam[:], "MRSEAM")
	r.into(t.MRSignerSeam[:], "MRSIGNERSEAM")
	t.SeamAttributes = r.uint64("SEAM attributes")
	t.TDAttributes = r.uint64("TD attributes")
	t.XFAM = r.uint64("XFAM")
	r.into(t.MRTD[:], "MRTD")
	r.into(t.MRConfigID[:], "MRCONFIGID")
	r.into(t.MROwner[:], "MROWNER")
	r.into(t.MROwnerConfig[:], "MROWNERCONFIG")
	for i := range t.RTMR {
		r.into(t.RTMR[i][:], "RTMR")
	}
	r.into(t.ReportData[:], "report data")
	if t.HasService {
		r.into(t.TEETCBSVN2[:], "TEE TCB SVN 2")
		r.into(t.MRServiceTD[:], "MRSERVICETD")
	}
}

func (q *Quote) readSignatureData(r *reader) {
	at := r.at
	size := r.uint32("length of signature data")
	if uint64(size) > uint64(len(r.rest)) {
		r.failf(at, "signature data: needs %d bytes, %d are left", size, len(r.rest))
		return
	}
	r.rest = r.rest[:size] // the padding
	r.into(q.signature[:], "signature")
	r.into(q.key[:], "attestation key")
	readCertificationType(r, certQEReport)
	q.qeSigned = bytes.Clone(r.bytes(sizeQEReport, "QE report"))
	q.QE.read(&reader{rest: q.qeSigned})
	r.into(q.qeSignature[:], "QE report signature")
	q.qeAuth = bytes.Clone(r.bytes(int(r.uint16("length of QE auth data")), "QE auth data"))
	readCertificationType(r, certPCKChain)
	if r.err == nil {
		at = r.at
		var err error
		if q.PCKChain, err = decodeChain(r.rest); err != nil {
			r.failf(at, "PCK certificates: %s", err)
		}
	}
}

// readCertificationType reads the head of certification data, which must be of
// the given type and reach to the end.
func readCertificationType(r *reader, want uint16) {
	at := r.at
	if kind := r.uint16("certification data type"); kind != want {
		r.failf(at, "certification data type: is %d%s, want %d%s",
			kind, named(certificationTypes(kind)), want, named(certificationTypes(want)))
	}
	r.length("certification data")
}

// read reads an SGX report body: Intel's "SGX ECDSA Quote Library Reference", appendix A.
func (e *EnclaveReport) read(r *reader) {
	r.into(e.CPUSVN[:], "CPUSVN")
	e.MiscSelect = r.uint32("MISCSELECT")
	r.bytes(28, "reserved")
	r.into(e.Attributes[:], "attributes")
	r.into(e.MREnclave[:], "MRENCLAVE")
	r.bytes(32, "reserved")
	r.into(e.MRSigner[:], "MRSIGNER")
	r.bytes(96, "reserved")
	e.ISVProdID = r.uint16("ISVPRODID")
	e.ISVSVN = r.uint16("ISVSVN")
	r.bytes(60, "reserved")
	r.into(e.ReportData[:], "report data")
}
