package attestation

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestCompactIntegers(t *testing.T) {
	var pairs [][2]json.RawMessage
	vectors(t, "scale_compact", &pairs)
	if len(pairs) == 0 {
		t.Fatal("no vectors")
	}
	for _, p := range pairs {
		var want uint32
		var text string
		if json.Unmarshal(p[0], &want) != nil || json.Unmarshal(p[1], &text) != nil {
			t.Fatalf("%s, %s", p[0], p[1])
		}
		in := unhex(t, text)
		r := &scaleReader{append(in, 0xee)}
		if got, err := r.compact(); err != nil || got != want || len(r.b) != 1 {
			t.Errorf("%s: %d, %v, %d bytes left, want %d", text, got, err, len(r.b), want)
		}
		if got := appendCompact(nil, int(want)); !bytes.Equal(got, in) {
			t.Errorf("%d: written as %x, want %x", want, got, in)
		}
		for n := range in {
			_, err := (&scaleReader{in[:n]}).compact()
			wantError(t, err, "ends too early")
		}
	}
}

func TestCompactIntegersHaveOneForm(t *testing.T) {
	for _, in := range []string{
		"\x01\x00",             // 0 in two bytes
		"\xfd\x00",             // 63
		"\x02\x00\x00\x00",     // 0 in four
		"\xfe\xff\x00\x00",     // 16383
		"\x03\x00\x00\x00\x00", // 0 in five
		"\x03\xff\xff\xff\x3f", // 2^30-1
	} {
		_, err := (&scaleReader{[]byte(in)}).compact()
		wantError(t, err, "length is not in its shortest form")
	}
	_, err := (&scaleReader{[]byte("\x07\xff\xff\xff\xff\xff")}).compact()
	wantError(t, err, "length above 2^32")
}

func TestScaleBytesEndWithTheInput(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"\x10abc", "ends too early"},
		{"\xfe\xff\xff\xffabc", "ends too early"},
		{"\x03\xff\xff\xff\xffabc", "ends too early"},
		{"\x10abcd", "4 bytes, want at most 3"},
	} {
		_, err := (&scaleReader{[]byte(c.in)}).bytes(3)
		wantError(t, err, c.want)
	}
	_, err := (&scaleReader{[]byte("\x04\xff")}).text(3)
	wantError(t, err, "not UTF-8")
}
