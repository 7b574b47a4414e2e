package tdx

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
)

func TestSGXExtensionIsRead(t *testing.T) {
	for ca, name := range map[CA]string{Platform: "Intel SGX PCK Platform CA", Processor: "Intel SGX PCK Processor CA"} {
		w := newWorld(t, func(c *certs) { c.ca.Subject.CommonName = name })
		p, err := ParsePCK(w.leaf.cert)
		if err != nil {
			t.Fatal(err)
		}
		want := PCK{
			Certificate: w.leaf.cert, CA: ca,
			PPID: [16]byte([]byte("ppid............")), CPUSVN: [16]byte([]byte("cpusvn..........")),
			FMSPC: [6]byte{0x90, 0xc0, 0x6f, 0, 0, 1}, PCEID: [2]byte{7, 8}, PCESVN: 0x1234,
		}
		for i := range want.TCBComponents {
			want.TCBComponents[i] = byte(16 * i)
		}
		if *p != want {
			t.Errorf("%+v\nwant %+v", *p, want)
		}
	}
}

func TestCAsHaveTheNamesOfIntelsServices(t *testing.T) {
	for ca, want := range map[CA]string{Platform: "platform", Processor: "processor", 0: "unknown"} {
		if ca.String() != want {
			t.Errorf("CA %d is %q, want %q", int(ca), ca, want)
		}
	}
}

func TestPCKOfAnotherIssuerIsRefused(t *testing.T) {
	w := newWorld(t, func(c *certs) { c.ca.Subject.CommonName = "Intel SGX TCB Signing" })
	_, err := ParsePCK(w.leaf.cert)
	wantError(t, err, `issuer "Intel SGX TCB Signing" is not a PCK CA`)
}

func TestPCKWithoutSGXExtensionIsRefused(t *testing.T) {
	w := newWorld(t, func(c *certs) { c.leaf.ExtraExtensions = nil })
	_, err := ParsePCK(w.leaf.cert)
	wantError(t, err, "SGX extension is missing")
}

func TestPCKWithBrokenSGXExtensionIsRefused(t *testing.T) {
	w := newWorld(t, func(c *certs) { c.leaf.ExtraExtensions[0].Value = encode(t, []entry{}) })
	p, err := ParsePCK(w.leaf.cert)
	wantError(t, err, "PCK certificate: SGX extension: PPID: is missing")
	if p != nil {
		t.Error("a platform with the error")
	}
}

// parseEntries reads an extension of these entries, with this TCB in it.
func parseEntries(t *testing.T, list, tcb []entry) error {
	t.Helper()
	list[1].Value = tcb
	return new(PCK).parseExtension(encode(t, list))
}

func TestEachEntryIsRequired(t *testing.T) {
	for i, name := range []string{"PPID", "TCB", "PCE-ID", "FMSPC"} {
		list, tcb := goodEntries()
		list[1].Value = tcb
		without := append(append([]entry{}, list[:i]...), list[i+1:]...)
		wantError(t, new(PCK).parseExtension(encode(t, without)), name+": is missing")
	}
	for i := range 18 {
		list, tcb := goodEntries()
		wantError(t, parseEntries(t, list, append(append([]entry{}, tcb[:i]...), tcb[i+1:]...)), ": is missing")
	}
}

// Of two entries one would count: which is not for the order to decide.
func TestEntryThatIsThereTwiceIsRefused(t *testing.T) {
	for i := range 4 {
		list, tcb := goodEntries()
		wantError(t, parseEntries(t, append(list, list[i]), tcb), "appears twice")
	}
	for i := range 18 {
		list, tcb := goodEntries()
		wantError(t, parseEntries(t, list, append(tcb, tcb[i])), "appears twice")
	}
}

// Intel has added entries to the extension: they do not disturb.
func TestUnknownEntriesArePassedOver(t *testing.T) {
	list, tcb := goodEntries()
	for _, id := range []asn1.ObjectIdentifier{sgxArc(8), sgxArc(1, 1), sgxArc(200), sgxArc(), {1, 2, 3}} {
		list = append(list, entry{id, "text"}, entry{id, 1})
		tcb = append(tcb, entry{id, "text"})
	}
	if err := parseEntries(t, list, append(tcb, entry{sgxArc(2, 19), 1}, entry{sgxArc(2, 1, 1), 1})); err != nil {
		t.Error(err)
	}
}

func TestEntriesHaveOneTypeAndSize(t *testing.T) {
	for _, c := range []struct {
		tcb   bool
		i     int
		value any
		want  string
	}{
		{false, 0, []byte("15 bytes......."), "PPID: has 15 bytes, want 16"},
		{false, 0, 16, "PPID: is not a single DER OCTET STRING"},
		{false, 0, "a string of text", "PPID: is not a single DER OCTET STRING"},
		{false, 2, []byte{}, "PCE-ID: has 0 bytes, want 2"},
		{false, 3, make([]byte, 7), "FMSPC: has 7 bytes, want 6"},
		{true, 0, 256, "TCB: component 1: is not a single DER INTEGER in range"},
		{true, 15, -1, "TCB: component 16: is not a single DER INTEGER in range"},
		{true, 5, []byte{1}, "TCB: component 6: is not a single DER INTEGER in range"},
		{true, 16, 65536, "TCB: PCESVN: is not a single DER INTEGER in range"},
		{true, 16, -1, "TCB: PCESVN: is not a single DER INTEGER in range"},
		{true, 17, make([]byte, 15), "TCB: CPUSVN: has 15 bytes, want 16"},
	} {
		list, tcb := goodEntries()
		if c.tcb {
			tcb[c.i].Value = c.value
		} else {
			list[c.i].Value = c.value
		}
		wantError(t, parseEntries(t, list, tcb), c.want)
	}
}

func TestExtensionIsOneSequenceOfPairs(t *testing.T) {
	good := goodExtension(t)
	for _, c := range []struct {
		name string
		der  []byte
		want string
	}{
		{"empty", nil, "is missing"},
		{"no bytes", []byte{}, "is not a single DER SEQUENCE"},
		{"bytes behind", append(goodExtension(t), 0), "is not a single DER SEQUENCE"},
		{"cut", good[:len(good)-1], "is not a single DER SEQUENCE"},
		{"indefinite length", []byte("\x30\x80\x00\x00"), "is not a single DER SEQUENCE"},
		{"length of 4 GiB", []byte("\x30\x84\xff\xff\xff\xff"), "is not a single DER SEQUENCE"},
		{"no pairs", encode(t, []int{1, 2}), "entry is not a DER SEQUENCE that begins with an identifier"},
		{"no identifier", encode(t, [][]int{{1, 2}}), "entry is not a DER SEQUENCE that begins with an identifier"},
		{"nested deep", []byte(strings.Repeat("\x30\x80", 500)), "is not a single DER SEQUENCE"},
	} {
		err := new(PCK).parseExtension(c.der)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestValueIsAlone(t *testing.T) {
	type three struct {
		ID   asn1.ObjectIdentifier
		A, B any
	}
	list, _ := goodEntries()
	der := encode(t, []any{three{sgxArc(1), list[0].Value, 1}, list[1], list[2], list[3]})
	wantError(t, new(PCK).parseExtension(der), "PPID: is not a single DER OCTET STRING")
}

// crypto/x509 holds this for us: two extensions never reach ParsePCK.
func TestCertificateHasOneSGXExtension(t *testing.T) {
	w := newWorld(t, nil)
	c := template("Intel SGX PCK Certificate", 3, false, 0)
	x := pkix.Extension{Id: sgxArc(), Value: goodExtension(t)}
	c.ExtraExtensions = []pkix.Extension{x, x}
	q := parse(t, w.build(t, w.draft(4, 0)))
	q.PCKChain[0] = rawCertificate(t, &c, &w.ca)
	_, err := q.PCKCertificates()
	wantError(t, err, "duplicate extension")
}
