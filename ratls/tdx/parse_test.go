package tdx

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// forms are the quotes there are: version and body type.
var forms = [][2]uint16{{4, 0}, {5, 2}, {5, 3}}

func TestEveryFormVerifies(t *testing.T) {
	w := newWorld(t, nil)
	for _, f := range forms {
		q := parse(t, w.build(t, w.draft(f[0], f[1])))
		if err := verifyAll(q, w.root.cert, testTime); err != nil {
			t.Errorf("version %d, body type %d: %v", f[0], f[1], err)
		}
		if q.Version != int(f[0]) || q.TD.HasService != (f[1] == 3) {
			t.Errorf("version %d, body type %d: parsed as version %d, TDX 1.5 %t", f[0], f[1], q.Version, q.TD.HasService)
		}
	}
}

// Every field is where Intel puts it: written again one after the other, the
// fields are the report.
func TestReportsAreReadWhole(t *testing.T) {
	w := newWorld(t, nil)
	d := w.draft(5, 3)
	q := parse(t, w.build(t, d))
	r, e := q.TD, q.QE
	n := func(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
	td := join(r.TEETCBSVN[:], r.MRSeam[:], r.MRSignerSeam[:], n(r.SeamAttributes), n(r.TDAttributes), n(r.XFAM),
		r.MRTD[:], r.MRConfigID[:], r.MROwner[:], r.MROwnerConfig[:],
		r.RTMR[0][:], r.RTMR[1][:], r.RTMR[2][:], r.RTMR[3][:], r.ReportData[:], r.TEETCBSVN2[:], r.MRServiceTD[:])
	if !bytes.Equal(td, d.report) {
		t.Errorf("TD report %x\nwant %x", td, d.report)
	}
	reserved := func(from, to int) []byte { return d.qeReport[from:to] }
	qe := join(e.CPUSVN[:], le(e.MiscSelect), reserved(20, 48), e.Attributes[:], e.MREnclave[:], reserved(96, 128),
		e.MRSigner[:], reserved(160, 256), le(e.ISVProdID), le(e.ISVSVN), reserved(260, 320), e.ReportData[:])
	if !bytes.Equal(qe, d.qeReport) {
		t.Errorf("QE report %x\nwant %x", qe, d.qeReport)
	}
	if !bytes.Equal(q.Header.UserData[:], numbered(20)) {
		t.Errorf("user data %x", q.Header.UserData)
	}
	for i, want := range [][]byte{w.leaf.cert.Raw, w.ca.cert.Raw, w.root.cert.Raw} {
		if !bytes.Equal(q.PCKChain[i], want) {
			t.Errorf("certificate %d is another one", i+1)
		}
	}
}

func TestOtherEvidenceIsRefusedByName(t *testing.T) {
	w := newWorld(t, nil)
	for want, change := range map[string]func(*draft){
		"byte 0: version: is 3, want 4 or 5":                                  func(d *draft) { d.version = 3 },
		"byte 0: version: is 6, want 4 or 5":                                  func(d *draft) { d.version = 6 },
		"byte 2: attestation key type: is 3 (ECDSA P-384), want 2":            func(d *draft) { d.keyType = 3 },
		"byte 2: attestation key type: is 9, want 2":                          func(d *draft) { d.keyType = 9 },
		"byte 4: TEE type: is 0x0 (SGX), want 0x81 (TDX)":                     func(d *draft) { d.tee = 0 },
		"byte 4: TEE type: is 0x82, want 0x81 (TDX)":                          func(d *draft) { d.tee = 0x82 },
		"byte 12: QE vendor id: is 6f74686572":                                func(d *draft) { d.vendor = "other vendor...." },
		"byte 48: body type: is 1 (SGX enclave report), want 2":               func(d *draft) { d.bodyType = 1 },
		"byte 48: body type: is 4, want 2 (TDX 1.0) or 3 (TDX 1.5)":           func(d *draft) { d.bodyType = 4 },
		"byte 50: body size: is 648, want 584 for type 2":                     func(d *draft) { d.bodyType = 2 },
		"byte 50: body size: is 647, want 648 for type 3":                     func(d *draft) { d.report = d.report[1:] },
		"byte 50: body size: is 4294967295, want 648 for type 3":              func(d *draft) { d.bodySize = 1<<32 - 1 },
		"is 5 (PCK certificate chain), want 6 (QE report)":                    func(d *draft) { d.outerType = 5 },
		"is 1 (PPID in clear), want 5 (PCK certificate chain)":                func(d *draft) { d.innerType = 1 },
		"is 2 (PPID encrypted with RSA-2048), want 5 (PCK certificate chain)": func(d *draft) { d.innerType = 2 },
		"is 3 (PPID encrypted with RSA-3072), want 5 (PCK certificate chain)": func(d *draft) { d.innerType = 3 },
		"is 4 (PCK certificate alone), want 5 (PCK certificate chain)":        func(d *draft) { d.innerType = 4 },
		"is 7 (platform manifest), want 5 (PCK certificate chain)":            func(d *draft) { d.innerType = 7 },
		"certification data type: is 65535, want 5 (PCK certificate chain)":   func(d *draft) { d.innerType = 65535 },
		"quote: has 65537 bytes, want at most 65536":                          func(d *draft) { d.trailing = make([]byte, 1+MaxQuote-w.size(t, d)) },
	} {
		d := w.draft(5, 3)
		change(d)
		q, err := Parse(w.build(t, d))
		wantError(t, err, want)
		if q != nil {
			t.Errorf("%s: a quote with the error", want)
		}
	}
}

func (w *world) size(t *testing.T, d *draft) int { return len(w.build(t, d)) }

func TestPaddingOfAQuoteIsNotRead(t *testing.T) {
	w := newWorld(t, nil)
	for _, padding := range []string{strings.Repeat("\x00", 70), "\n", "any text"} {
		d := w.draft(4, 0)
		d.trailing = []byte(padding)
		if err := verifyAll(parse(t, w.build(t, d)), w.root.cert, testTime); err != nil {
			t.Errorf("%q: %v", padding, err)
		}
	}
	d := w.draft(4, 0)
	d.trailing = make([]byte, MaxQuote-w.size(t, d))
	if raw := w.build(t, d); len(raw) != MaxQuote {
		t.Errorf("%d bytes", len(raw))
	} else {
		parse(t, raw)
	}
}

// Lengths are the place where a quote lies: each is set to all it could say.
func TestLengthsMustFit(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.build(t, w.draft(4, 0))
	const auth = 636 + 134 + 448
	for _, c := range []struct {
		name string
		at   int
		size int // of the length, 2 or 4 bytes
		want string
	}{
		{"signature data", 632, 4, "quote: byte "},
		{"certification data", 636 + 130, 4, "byte 766: certification data: has"},
		{"QE auth data", auth, 2, "quote: byte 12"},
		{"certificates", auth + 2 + 32 + 2, 4, "byte 1254: certification data: has"},
	} {
		good := uint32(binary.LittleEndian.Uint16(raw[c.at:]))
		for _, n := range []uint32{0, 1, good - 1, good + 1, 1 << 15, 1<<16 - 1, 1 << 31, 1<<32 - 1, ^uint32(0) - 600} {
			bad := slices.Clone(raw)
			copy(bad[c.at:], le(n)[:c.size])
			if bytes.Equal(bad, raw) {
				continue
			}
			_, err := Parse(bad)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s of %d bytes: error %v, want %q", c.name, n, err, c.want)
			}
		}
	}
}

func TestQuoteMayCarryNoAuthData(t *testing.T) {
	w := newWorld(t, nil)
	for _, n := range []int{0, 1, 1000} {
		d := w.draft(4, 0)
		d.auth = numbered(n)
		if err := verifyAll(parse(t, w.build(t, d)), w.root.cert, testTime); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// What is parsed is a copy: the buffer of a quote may be used again.
func TestQuoteKeepsNothingOfItsInput(t *testing.T) {
	w := newWorld(t, nil)
	raw := w.build(t, w.draft(5, 3))
	q := parse(t, raw)
	clear(raw)
	if err := verifyAll(q, w.root.cert, testTime); err != nil {
		t.Error(err)
	}
}
