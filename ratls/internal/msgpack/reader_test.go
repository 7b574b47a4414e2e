package msgpack

import (
	"bytes"
	"strings"
	"testing"
)

// A form is one way to write a value.
type form struct{ name, in string }

func TestIntegersAreReadInEachWidth(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint64
	}{
		{"\x00", 0},
		{"\x7f", 127},
		{"\xcc\x80", 128},
		{"\xcd\x01\x00", 256},
		{"\xce\x08\x00\x00\x01", 0x08000001},
		{"\xce\x00\x00\x00\x03", 3}, // longer than it has to be
		{"\xcf\x00\x00\x00\x01\x00\x00\x00\x00", 1 << 32},
	} {
		r := NewReader([]byte(c.in))
		got, err := r.Uint(1 << 32)
		if err != nil || got != c.want || r.End() != nil {
			t.Errorf("%x: %d, %v, left %v, want %d", c.in, got, err, r.End(), c.want)
		}
	}
}

func TestBadIntegersAreRefused(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "ends too early"},
		{"\xcd\x01", "ends too early"},
		{"\xff", "0xff, want an unsigned integer"},
		{"\xa1x", "0xa1, want an unsigned integer"},
		{"\xc0", "0xc0, want an unsigned integer"},
		{"\x04", "4, want at most 3"},
		{"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615, want at most 3"},
	} {
		_, err := NewReader([]byte(c.in)).Uint(3)
		wantError(t, err, c.want)
	}
}

func TestTextIsReadInEachWidth(t *testing.T) {
	for _, c := range []form{
		{"short", "\xa3abc"},
		{"8 bits", "\xd9\x03abc"},
		{"16 bits", "\xda\x00\x03abc"},
		{"32 bits", "\xdb\x00\x00\x00\x03abc"},
	} {
		r := NewReader([]byte(c.in))
		if got, err := r.Text(3); err != nil || got != "abc" || r.End() != nil {
			t.Errorf("%s: %q, %v, left %v", c.name, got, err, r.End())
		}
	}
	for _, c := range []struct{ in, want string }{
		{"\xa4abc", "ends too early"},
		{"\xdb\xff\xff\xff\xffabc", "ends too early"},
		{"\xa4abcd", "4 bytes, want at most 3"},
		{"\xa1\xff", "not UTF-8"},
		{"\xc4\x01a", "0xc4, want a string"},
	} {
		_, err := NewReader([]byte(c.in)).Text(3)
		wantError(t, err, c.want)
	}
}

func TestBytesAreReadAsBinAndAsIntegers(t *testing.T) {
	for _, c := range []form{
		{"bin", "\xc4\x03\x01\x80\xff"},
		{"bin of 16 bits", "\xc5\x00\x03\x01\x80\xff"},
		{"bin of 32 bits", "\xc6\x00\x00\x00\x03\x01\x80\xff"},
		{"integers", "\x93\x01\xcc\x80\xcc\xff"},
		{"integers behind a long head", "\xdd\x00\x00\x00\x03\x01\xcc\x80\xcc\xff"},
	} {
		r := NewReader([]byte(c.in))
		if got, err := r.Bytes(3); err != nil || string(got) != "\x01\x80\xff" || r.End() != nil {
			t.Errorf("%s: %x, %v, left %v", c.name, got, err, r.End())
		}
		_, err := NewReader([]byte(c.in)).Bytes(2)
		wantError(t, err, "3 bytes, want at most 2")
	}
}

// What is read is a copy: its owner may change the input.
func TestBytesAreCopied(t *testing.T) {
	in := []byte("\xc4\x01a")
	got, err := NewReader(in).Bytes(1)
	in[2] = 'b'
	if err != nil || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestStruct(t *testing.T) {
	names := []string{"a", "b", "c"}
	for _, c := range []struct{ in, want string }{
		{"\x82\xa1a\x01\xa1b\x02", ""},
		{"\x83\xa1c\x01\xa1b\x02\xa1a\x03", ""},
		{"\xde\x00\x02\xa1a\x01\xa1b\x02", ""},
		{"\x81\xa1a\x01", "b: is missing"},
		{"\x82\xa1b\x01\xa1c\x01", "a: is missing"},
		{"\x83\xa1a\x01\xa1b\x02\xa1d\x03", "unknown field"},
		{"\x82\xa1a\x01\xa1a\x02", "a: appears twice"},
		{"\x82\xa1a\xc0\xa1b\x02", "a: 0xc0, want an unsigned integer"},
		{"\x82\x01\x01\xa1b\x02", "name: 0x01, want a string"},
		{"\x82\xa1a\x01", "ends too early"},
		{"\xdf\xff\xff\xff\xff", "ends too early"},
		{"\x92\x01\x02", "0x92, want a map"},
	} {
		r := NewReader([]byte(c.in))
		err := r.Struct(names, 2, func(int) error {
			_, err := r.Uint(9)
			return err
		})
		if c.want != "" {
			wantError(t, err, c.want)
		} else if err != nil || r.End() != nil {
			t.Errorf("%x: %v, left %v", c.in, err, r.End())
		}
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 127, 128, 255, 256, 65535, 65536} {
		data := bytes.Repeat([]byte{0xe9}, n)
		text := strings.Repeat("x", n)
		var b []byte
		b = AppendNil(b)
		b = AppendBin(b, data)
		b = AppendInts(b, data)
		b = AppendText(b, text)
		b = AppendUint(b, uint32(n))
		b = AppendArray(b, n)
		b = append(b, make([]byte, n)...)
		b = AppendMap(b, n)
		b = append(b, make([]byte, 2*n)...)

		r := NewReader(b)
		isNil := r.Nil()
		bin, err1 := r.Bytes(n)
		ints, err2 := r.Bytes(n)
		s, err3 := r.Text(n)
		v, err4 := r.Uint(1 << 32)
		length, err5 := r.Array()
		if !isNil || err1 != nil || err2 != nil || err3 != nil || err4 != nil || err5 != nil {
			t.Fatal(n, isNil, err1, err2, err3, err4, err5)
		}
		r.b = r.b[n:]
		isMap := r.IsMap()
		pairs, err6 := r.count(kindMap)
		if err6 != nil || !isMap || length != n || pairs != n || len(r.b) != 2*n || int(v) != n || s != text ||
			!bytes.Equal(bin, data) || !bytes.Equal(ints, data) {
			t.Errorf("%d: array of %d, map of %d (%v), %d, %d bytes of text", n, length, pairs, err6, v, len(s))
		}
	}
}

func TestNothingMayFollow(t *testing.T) {
	wantError(t, NewReader([]byte{Nil}).End(), "bytes after the end")
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x82\xa1a\x93\x01\xcc\x80\xcc\xff\xa1b\xc4\x02xy"))
	f.Add([]byte("\x81\xa1c\xd9\x03abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		read := 0
		err := r.Struct([]string{"a", "b", "c"}, 0, func(i int) error {
			if i == 2 {
				s, err := r.Text(len(b))
				read += len(s)
				return err
			}
			data, err := r.Bytes(len(b))
			read += len(data)
			return err
		})
		if err == nil && read > len(b) {
			t.Fatalf("read %d bytes from %d", read, len(b))
		}
	})
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}
