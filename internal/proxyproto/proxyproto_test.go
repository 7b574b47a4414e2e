package proxyproto

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func ends(source, destination string) Header {
	return Header{Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

// v2 puts the fixed part before content.
func v2(command, family byte, content string) string {
	return signatureV2 + string([]byte{command, family, byte(len(content) >> 8), byte(len(content))}) + content
}

// same compares headers, TLVs by their bytes.
func same(a, b Header) bool {
	return a.Local == b.Local && a.Source == b.Source && a.Destination == b.Destination &&
		string(a.TLVs.raw) == string(b.TLVs.raw)
}

const (
	block4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
	block6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\xdc\x04\x01\xbb"
)

// vpce is the header that an AWS network load balancer sends for an endpoint:
// checksum, VPC endpoint id (0xEA), padding.
const vpce = signatureV2 + "\x21\x11\x00\x54\xac\x1f\x07\x71\xac\x1f\x0a\x1f\xc8\xf2\x00\x50" +
	"\x03\x00\x04\xe8\xd6\x89\x2d\xea\x00\x17\x01vpce-08d2bf15fac5001c9\x04\x00\x24" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func goodHeaders() map[string]Header {
	four := ends("192.0.2.1:56324", "198.51.100.2:443")
	six := ends("[2001:db8::1]:56324", "[2001:db8::2]:443")
	mixed := ends("192.0.2.1:56324", "[2001:db8::2]:443")
	withTLV := four
	withTLV.TLVs.raw = []byte("\x02\x00\x01a\x05\x00\x00")
	aws := ends("172.31.7.113:51442", "172.31.10.31:80")
	aws.TLVs.raw = []byte(vpce[headerV2+lengthTCP4:])
	return map[string]Header{
		"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n":           four,
		"PROXY TCP6 2001:db8::1 2001:DB8:0:0:0:0:0:2 56324 443\r\n": six,
		"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 56324 443\r\n":     mixed,
		"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n":            ends("0.0.0.0:0", "255.255.255.255:65535"),
		"PROXY UNKNOWN\r\n":                 {},
		"PROXY UNKNOWN  what \x00 ever\r\n": {},
		"PROXY UNKNOWN " + strings.Repeat("f", maxV1-len("PROXY UNKNOWN \r\n")) + "\r\n": {},
		v2(commandProxy, tcp4, block4):                                  four,
		v2(commandProxy, tcp6, block6):                                  six,
		v2(commandProxy, tcp6, mapped6):                                 mixed,
		v2(commandProxy, tcp4, block4+"\x02\x00\x01a\x05\x00\x00"):      withTLV,
		v2(commandProxy, unspec, ""):                                    {},
		v2(commandProxy, udp4, block4):                                  {},
		v2(commandProxy, udp6, block6):                                  {},
		v2(commandProxy, unix, strings.Repeat("/", 216)):                {},
		v2(commandProxy, unixgram, strings.Repeat("/", 216)):            {},
		v2(commandLocal, unspec, ""):                                    {Local: true},
		v2(commandLocal, tcp4, block4):                                  {Local: true},
		v2(commandLocal, tcp4, "no addresses, no TLVs"):                 {Local: true},
		v2(commandLocal, 0xff, ""):                                      {Local: true},
		v2(commandLocal, unspec, strings.Repeat("x", MaxSize-headerV2)): {Local: true},
		vpce: aws,
	}
}

func TestHeaderIsReadAndWhatFollowsIsLeft(t *testing.T) {
	for text, want := range goodHeaders() {
		for _, after := range []string{"", "\x16\x03\x01", "PROXY "} {
			h, n, err := Parse([]byte(text + after))
			if err != nil || n != len(text) || !same(h, want) {
				t.Errorf("%q and %q: got %+v, %d, %v; want %+v, %d", text, after, h, n, err, want, len(text))
			}
		}
	}
}

func TestEveryTruncatedHeaderIsIncomplete(t *testing.T) {
	for text := range goodHeaders() {
		for n := range text {
			if h, length, err := Parse([]byte(text[:n])); !errors.Is(err, ErrIncomplete) || length != 0 || !same(h, Header{}) {
				t.Fatalf("%q: got %+v, %d, %v; want ErrIncomplete", text[:n], h, length, err)
			}
		}
	}
}

// Each text is refused at its last byte, not before and not later.
func TestWrongByteIsRefusedAtOnce(t *testing.T) {
	for _, c := range []struct {
		text string
		want error
	}{
		{"\x16", ErrNotProxy},
		{"G", ErrNotProxy},
		{"\x00", ErrNotProxy},
		{"PO", ErrNotProxy},
		{"PROXX", ErrNotProxy},
		{"PROXYT", ErrNotProxy},
		{"\r\n\r\n\r", ErrNotProxy},
		{signatureV2[:11] + "\r", ErrNotProxy},
		{"PROXY UNKNOWN\n", ErrMalformed},
		{"PROXY UNKNOWN\r\r", ErrMalformed},
		{"PROXY UNKNOWN a\rb", ErrMalformed},
		{"PROXY UNKNOWN " + strings.Repeat("f", maxV1-len("PROXY UNKNOWN ")), ErrTooLarge},
		{"PROXY UNKNOWN " + strings.Repeat("f", maxV1-1-len("PROXY UNKNOWN ")) + "\r", ErrTooLarge},
		{signatureV2 + "\x11", ErrMalformed},
		{signatureV2 + "\x22", ErrMalformed},
		{signatureV2 + "\x21\x13", ErrMalformed},
		{signatureV2 + "\x21\x10", ErrMalformed},
		{signatureV2 + "\x21\x41", ErrMalformed},
		{signatureV2 + "\x21\x11\x0f\xf1", ErrTooLarge},
		{signatureV2 + "\x20\x00\xff\xff", ErrTooLarge},
	} {
		if _, _, err := Parse([]byte(c.text[:len(c.text)-1])); !errors.Is(err, ErrIncomplete) {
			t.Errorf("%q, a byte earlier: got %v, want ErrIncomplete", c.text, err)
		}
		if _, _, err := Parse([]byte(c.text)); !errors.Is(err, c.want) {
			t.Errorf("%q: got %v, want %v", c.text, err, c.want)
		}
	}
}

func TestMalformedLineIsRefused(t *testing.T) {
	for _, line := range []string{
		"", " ", "TCP", "tcp4", "UDP4", "TCP4", "UNKNOWNX", " UNKNOWN",
		"TCP4 192.0.2.1 198.51.100.2 56324",
		"TCP4 192.0.2.1 198.51.100.2 56324 443 ",
		"TCP4 192.0.2.1 198.51.100.2 56324 443 x",
		"TCP4  192.0.2.1 198.51.100.2 56324 443",
		"TCP4\t192.0.2.1 198.51.100.2 56324 443",
		"TCP4 192.0.2.01 198.51.100.2 56324 443",
		"TCP4 192.0.2 198.51.100.2 56324 443",
		"TCP4 192.0.2.1 198.51.100.256 56324 443",
		"TCP4 2001:db8::1 198.51.100.2 56324 443",
		"TCP4 ::ffff:192.0.2.1 198.51.100.2 56324 443",
		"TCP6 192.0.2.1 2001:db8::2 56324 443",
		"TCP6 2001:db8::1 192.0.2.1 56324 443",
		"TCP6 fe80::1%eth0 2001:db8::2 56324 443",
		"TCP6 [2001:db8::1] 2001:db8::2 56324 443",
		"TCP6 2001:db8::1 2001:db8::2 56324 65536",
		"TCP4 192.0.2.1 198.51.100.2 056 443",
		"TCP4 192.0.2.1 198.51.100.2 +56 443",
		"TCP4 192.0.2.1 198.51.100.2 -1 443",
		"TCP4 192.0.2.1 198.51.100.2 0x1 443",
		"TCP4 192.0.2.1 198.51.100.2 1_0 443",
		"TCP4 192.0.2.1 198.51.100.2 56324 00",
	} {
		h, n, err := Parse([]byte("PROXY " + line + "\r\n"))
		if !errors.Is(err, ErrMalformed) || n != 0 || !same(h, Header{}) {
			t.Errorf("%q: got %+v, %d, %v; want ErrMalformed", line, h, n, err)
		}
	}
}

func TestMalformedBinaryHeaderIsRefused(t *testing.T) {
	wrongSum := strings.Replace(vpce, "\xe8\xd6\x89\x2d", "\xe8\xd6\x89\x2e", 1)
	wrongBody := strings.Replace(vpce, "vpce", "vpcE", 1)
	for what, text := range map[string]string{
		"IPv4 block cut":       v2(commandProxy, tcp4, block4[:11]),
		"IPv6 block cut":       v2(commandProxy, tcp6, block6[:35]),
		"UDP block cut":        v2(commandProxy, udp4, block4[:11]),
		"Unix block cut":       v2(commandProxy, unix, strings.Repeat("/", 215)),
		"TLV header cut":       v2(commandProxy, tcp4, block4+"\x02\x00"),
		"TLV value cut":        v2(commandProxy, tcp4, block4+"\x02\x00\x02a"),
		"second TLV cut":       v2(commandProxy, tcp4, block4+"\x02\x00\x01a\x05\x00\x01"),
		"UNSPEC with no TLV":   v2(commandProxy, unspec, "x"),
		"checksum of 3 bytes":  v2(commandProxy, unspec, "\x03\x00\x03\x00\x00\x00"),
		"two checksums":        v2(commandProxy, unspec, "\x03\x00\x04\x00\x00\x00\x00\x03\x00\x04\x00\x00\x00\x00"),
		"checksum wrong":       wrongSum,
		"checksum not of this": wrongBody,
	} {
		h, n, err := Parse([]byte(text))
		if !errors.Is(err, ErrMalformed) || n != 0 || !same(h, Header{}) {
			t.Errorf("%s: got %+v, %d, %v; want ErrMalformed", what, h, n, err)
		}
	}
}

func TestAppendedHeaderIsReadBack(t *testing.T) {
	for text, h := range goodHeaders() {
		b := AppendV2([]byte("before"), h)
		got, n, err := Parse(b[len("before"):])
		if err != nil || n != len(b)-len("before") || !same(got, h) {
			t.Errorf("%q: got %+v, %d, %v; want %+v", text, got, n, err, h)
		}
	}
	if got := string(AppendV2(nil, ends("192.0.2.1:56324", "198.51.100.2:443"))); got != v2(commandProxy, tcp4, block4) {
		t.Errorf("IPv4: got %q", got)
	}
	if got := string(AppendV2(nil, ends("[::ffff:192.0.2.1]:56324", "[2001:db8::2%eth0]:443"))); got != v2(commandProxy, tcp6, mapped6) {
		t.Errorf("mixed: got %q", got)
	}
	half := Header{Source: netip.MustParseAddrPort("192.0.2.1:1")}
	if got := string(AppendV2(nil, half)); got != v2(commandProxy, unspec, "") {
		t.Errorf("one address: got %q", got)
	}
}

func TestTLVsAreFoundAndAdded(t *testing.T) {
	h, _, err := Parse([]byte(vpce))
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := h.TLVs.Get(0xEA); !ok || string(id) != "\x01vpce-08d2bf15fac5001c9" {
		t.Errorf("got %q, %v", id, ok)
	}
	if _, ok := h.TLVs.Get(TypeSSL); ok {
		t.Error("found what is not there")
	}
	if err := h.TLVs.Add(TypeAuthority, []byte("a.example")); err != nil {
		t.Fatal(err)
	}
	// The checksum must hold for the longer header: Parse verifies it.
	h, _, err = Parse(AppendV2(nil, h))
	if err != nil {
		t.Fatal(err)
	}
	var kinds []Type
	for kind := range h.TLVs.All() {
		kinds = append(kinds, kind)
	}
	if want := []Type{TypeCRC32C, 0xEA, TypeNoop, TypeAuthority}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

func TestAddLeavesTheParsedBytesAlone(t *testing.T) {
	text := v2(commandProxy, tcp4, block4+"\x02\x00\x01a") + "what the client sent after it"
	b := []byte(text)
	h, _, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.TLVs.Add(TypeALPN, []byte("h2")); err != nil {
		t.Fatal(err)
	}
	if string(b) != text {
		t.Errorf("the stream is now %q", b)
	}
}

func TestAddHasLimits(t *testing.T) {
	h := ends("[2001:db8::1]:1", "[2001:db8::2]:2")
	if err := h.TLVs.Add(TypeNoop, make([]byte, maxTLVs-headerTLV+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte too much: got %v", err)
	}
	if err := h.TLVs.Add(TypeNoop, make([]byte, maxTLVs-headerTLV)); err != nil {
		t.Errorf("the most: got %v", err)
	}
	if b := AppendV2(nil, h); len(b) != MaxSize {
		t.Errorf("got %d bytes, want %d", len(b), MaxSize)
	}
	var list TLVs
	if err := list.Add(TypeCRC32C, make([]byte, 3)); !errors.Is(err, ErrMalformed) {
		t.Errorf("checksum of 3 bytes: got %v", err)
	}
	if err := list.Add(TypeCRC32C, make([]byte, 4)); err != nil {
		t.Errorf("checksum: got %v", err)
	}
	if err := list.Add(TypeCRC32C, make([]byte, 4)); !errors.Is(err, ErrMalformed) {
		t.Errorf("second checksum: got %v", err)
	}
}

func TestBinaryHeaderAllocatesNothing(t *testing.T) {
	b, out := []byte(vpce), make([]byte, 0, MaxSize)
	if n := testing.AllocsPerRun(100, func() {
		h, _, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		out = AppendV2(out[:0], h)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
