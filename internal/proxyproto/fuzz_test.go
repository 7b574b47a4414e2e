package proxyproto

// Differences to github.com/pires/go-proxyproto, which reads a header otherwise
// as we do:
//   - it refuses UNSPEC with the command PROXY; we take it as "no address";
//   - it refuses a LOCAL header of an unknown family; the specification has the
//     family ignored there;
//   - it reads UDP and Unix addresses; we do not;
//   - it neither walks the TLVs nor verifies the checksum while reading;
//   - it takes a bare CR in a line, which must not end it and is no part of it;
//   - its limit of 4096 bytes does not count the 16 in front.

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"testing"

	oracle "github.com/pires/go-proxyproto"
)

func FuzzParse(f *testing.F) {
	for text := range goodHeaders() {
		f.Add([]byte(text))
		f.Add([]byte(text + "\x16\x03\x01"))
	}
	f.Add([]byte("PROXY UNKNOWN a\rb\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := Parse(b)
		compareWithOracle(t, b, h, err)
		if err != nil {
			if n != 0 || !same(h, Header{}) {
				t.Errorf("%v came with %+v, %d", err, h, n)
			}
			if errors.Is(err, ErrIncomplete) && len(b) >= MaxSize {
				t.Errorf("%d bytes are incomplete", len(b))
			}
			return
		}
		for cut := range n {
			if _, _, err := Parse(b[:cut]); !errors.Is(err, ErrIncomplete) {
				t.Fatalf("cut at %d of %d: got %v", cut, n, err)
			}
		}
		wire := AppendV2(nil, h)
		again, n, err := Parse(wire)
		if len(wire) > MaxSize {
			return // unmapped and mapped again: 24 bytes more than it had
		}
		if err != nil || n != len(wire) || !bytes.Equal(AppendV2(nil, again), wire) {
			t.Fatalf("%+v became %+v, %d of %d, %v", h, again, n, len(wire), err)
		}
		if again.Source != h.Source || again.Destination != h.Destination || again.Local != h.Local {
			t.Errorf("%+v became %+v", h, again)
		}
	})
}

func compareWithOracle(t *testing.T, b []byte, h Header, err error) {
	t.Helper()
	theirs, refusal := oracle.Read(bufio.NewReaderSize(bytes.NewReader(b), 64<<10))
	isV2 := bytes.HasPrefix(b, []byte(signatureV2))
	switch {
	case err == nil && refusal != nil:
		unspecified := isV2 && b[12] == commandProxy && b[13] == unspec
		local := isV2 && b[12] == commandLocal
		if !unspecified && !local {
			t.Errorf("we accept, they refuse: %v", refusal)
		}
	case err != nil && refusal == nil:
		overTLVs := isV2 && errors.Is(err, ErrMalformed)
		bareCR := !isV2 && bytes.Count(b[:bytes.IndexByte(b, '\n')], []byte{'\r'}) > 1
		size := isV2 && errors.Is(err, ErrTooLarge) && headerV2+int(b[14])<<8+int(b[15]) > MaxSize
		if !overTLVs && !bareCR && !size {
			t.Errorf("they accept, we refuse: %v", err)
		}
	case err == nil:
		source, destination, tcp := theirs.TCPAddrs()
		if theirs.Command.IsLocal() || !tcp {
			if h.Source.IsValid() || h.Destination.IsValid() {
				t.Errorf("got addresses %+v, they none: %+v", h, theirs)
			}
			return
		}
		if !sameAddress(h, source, destination) {
			t.Errorf("got %+v, they %v %v", h, source, destination)
		}
	}
}

func sameAddress(h Header, source, destination *net.TCPAddr) bool {
	return net.TCPAddrFromAddrPort(h.Source).String() == source.String() &&
		net.TCPAddrFromAddrPort(h.Destination).String() == destination.String()
}

// What we write, they read.
func TestAppendedHeaderIsReadByOthers(t *testing.T) {
	for text, h := range goodHeaders() {
		if !h.Source.IsValid() {
			continue // they refuse UNSPEC
		}
		theirs, err := oracle.Read(bufio.NewReader(bytes.NewReader(AppendV2(nil, h))))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		source, destination, tcp := theirs.TCPAddrs()
		if !tcp || !sameAddress(h, source, destination) {
			t.Errorf("%q: they read %v %v", text, source, destination)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for what, text := range map[string]string{
		"v1":   "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
		"v2":   v2(commandProxy, tcp4, block4),
		"vpce": vpce,
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			header := []byte(text)
			for b.Loop() {
				if _, _, err := Parse(header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
