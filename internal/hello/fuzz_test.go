package hello

// The differential test against crypto/tls.
//
// What crypto/tls accepts and we refuse (stricter):
//   - a server name that is not a host name, ErrServerName: it would go into
//     look-ups and logs, and nothing served here has such a name;
//   - a record version that is not 3.x (crypto/tls: below 16.0), so that what is
//     not TLS is known by its second byte;
//   - warning alerts before the hello: no client sends them, and to skip
//     them would be to accept free work;
//   - bytes behind the message in its last record, which RFC 8446, 5.1 forbids
//     and crypto/tls finds later, when it changes keys;
//   - records over MaxStream: a hello in thousands of tiny records;
//   - a session id over 32 bytes, no cipher suite, no null compression: the
//     bounds of RFC 8446, 4.1.2, which crypto/tls checks later or not at all.
//
// What crypto/tls refuses and we accept:
//   - a dot at the end of the server name: clients send it, and it means the
//     same name. A passthrough backend may take it, crypto/tls will not;
//   - anything inside an extension that we do not read, and pre_shared_key in
//     the wrong place: for the terminating side to judge.
//
// And without supported_versions, a legacy_version of TLS 1.3 offers TLS 1.2,
// as crypto/tls negotiates; its ClientHelloInfo lists TLS 1.3.

import (
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// Layers that FuzzParse may put around its data, so that the mutator need not
// find out how lengths nest.
const (
	layerStream     = iota // data is the stream
	layerMessage           // data is the body of a message
	layerExtensions        // data is an extension block
	layers
)

func FuzzParse(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	seeds := [][]byte{goHello(f, "a.example", "h2"), records(chromeLike(rng).message()), records(clientHello{}.message(), 3, 1)}
	for _, stream := range corpus(f) {
		seeds = append(seeds, stream)
	}
	for _, stream := range seeds {
		f.Add(stream, uint8(layerStream), uint64(1))
		f.Add(stream[recordHeader+messageHeader:], uint8(layerMessage), uint64(2))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(layerStream), uint64(1))
	f.Add([]byte("\x00\x00\x00\x0d\x00\x0b\x01\x00\x01x\x00\x00\x04a.b."), uint8(layerExtensions), uint64(3))
	f.Add([]byte("\x00\x10\x00\x05\x00\x03\x02h2\x00\x2b\x00\x03\x02\x03\x04"), uint8(layerExtensions), uint64(4))
	f.Fuzz(func(t *testing.T, data []byte, layer uint8, seed uint64) {
		stream, ok := wrap(data, layer%layers)
		if !ok {
			return
		}
		h, done, err := parse(stream)
		info, refusal := oracle(stream)
		switch {
		case done && info != nil:
			wantSame(t, h, info)
		case done:
			plain := records(onlyWhatWeRead(joined(stream[:h.Length])))
			if info, err = oracle(plain); info == nil {
				t.Fatalf("we accept, crypto/tls refuses: %v, and without the listed differences: %v", refusal, err)
			}
			h, _, _ := parse(plain)
			wantSame(t, h, info)
		case info != nil && !stricter(err, stream, info):
			t.Fatalf("crypto/tls accepts, we do not: %v", err)
		}
		anyCutIsTheSame(t, stream, rand.New(rand.NewPCG(seed, 0)))
	})
}

func wrap(data []byte, layer uint8) ([]byte, bool) {
	switch {
	case layer == layerStream:
		return data, true
	case len(data) > 60000: // more would overflow a length field
		return nil, false
	case layer == layerMessage:
		return records(append([]byte{typeClientHello, 0, byte(len(data) >> 8), byte(len(data))}, data...)), true
	}
	message := clientHello{extensions: []extension{}}.message()
	body := append(message[messageHeader:len(message)-2], byte(len(data)>>8), byte(len(data)))
	return wrap(append(body, data...), layerMessage)
}

// wantSame compares h with what crypto/tls saw.
func wantSame(t *testing.T, h *Hello, info *tls.ClientHelloInfo) {
	t.Helper()
	if string(h.ServerName) != strings.ToLower(info.ServerName) {
		t.Errorf("got name %q, crypto/tls %q", h.ServerName, info.ServerName)
	}
	var protos []string
	for proto := range h.ALPN.All() {
		protos = append(protos, string(proto))
	}
	if !slices.Equal(protos, info.SupportedProtos) || h.ALPN.Empty() != (len(info.SupportedProtos) == 0) {
		t.Errorf("got ALPN %q, crypto/tls %q", protos, info.SupportedProtos)
	}
	for _, v := range append(info.SupportedVersions, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304) {
		want := slices.Contains(info.SupportedVersions, v)
		if v == tls.VersionTLS13 && !slices.Contains(info.Extensions, extSupportedVersions) {
			want = false
		}
		if got := h.Versions.Supports(v); got != want {
			t.Errorf("supports %04x: got %v, crypto/tls %04x", v, got, info.SupportedVersions)
		}
	}
}

// stricter reports whether err is a listed refusal of what crypto/tls accepts.
func stricter(err error, stream []byte, info *tls.ClientHelloInfo) bool {
	const alert = 21
	is := func(target *Error) bool { return errors.Is(err, target) }
	switch {
	case is(ErrServerName), is(errTrailing), is(errCompression), is(errRecordVersion):
		return true
	case is(ErrNotTLS):
		return stream[0] == typeHandshake && stream[1] != 3
	case is(errRecordType):
		return stream[0] == alert
	case is(ErrTooLarge):
		return len(stream) > MaxStream
	case is(errBody):
		return len(info.CipherSuites) == 0 || joined(stream)[messageHeader+2+lengthRandom] > maxSessionID
	}
	return false
}

// joined returns the content of whole records.
func joined(stream []byte) []byte {
	var message []byte
	for s := cryptobyte.String(stream); !s.Empty(); {
		var content cryptobyte.String
		if !s.Skip(3) || !s.ReadUint16LengthPrefixed(&content) {
			break
		}
		message = append(message, content...)
	}
	return message
}

// onlyWhatWeRead returns message, which is sound for us, without the extensions
// that we do not read and with the server name in its one form.
func onlyWhatWeRead(message []byte) []byte {
	s := cryptobyte.String(message)
	var session, suites, methods, block cryptobyte.String
	s.Skip(messageHeader)
	c := clientHello{extensions: []extension{}}
	s.ReadUint16(&c.legacy)
	s.Skip(lengthRandom)
	s.ReadUint8LengthPrefixed(&session)
	s.ReadUint16LengthPrefixed(&suites)
	s.ReadUint8LengthPrefixed(&methods)
	s.ReadUint16LengthPrefixed(&block)
	c.session, c.suites, c.methods = session, suites, methods
	for !block.Empty() {
		var kind uint16
		var data cryptobyte.String
		block.ReadUint16(&kind)
		block.ReadUint16LengthPrefixed(&data)
		switch kind {
		case extServerName:
			if host, _ := decodeServerName(data); host != nil {
				c.extensions = append(c.extensions, serverName(string(host)))
			}
		case extALPN, extSupportedVersions:
			c.extensions = append(c.extensions, extension{kind, data})
		}
	}
	return c.message()
}

// anyCutIsTheSame checks that neither the reads nor, for a good hello, the
// records in which a stream comes change the answer.
func anyCutIsTheSame(t *testing.T, stream []byte, rng *rand.Rand) {
	t.Helper()
	h, done, err := parse(stream)
	h2, done2, err2 := parse(stream, cuts(len(stream), rng)...)
	if done2 != done || !errors.Is(err2, err) || !reflect.DeepEqual(h2, h) {
		t.Fatalf("cut into reads: got %+v %v %v, whole %+v %v %v", h2, done2, err2, h, done, err)
	}
	if !done {
		return
	}
	message, at := joined(stream[:h.Length]), 0
	var sizes []int
	for _, cut := range cuts(len(message), rng) {
		if cut > at {
			sizes, at = append(sizes, cut-at), cut
		}
	}
	recut := records(message, sizes...)
	h2, done2, err2 = parse(recut, cuts(len(recut), rng)...)
	if errors.Is(err2, ErrTooLarge) && len(recut) > MaxStream {
		return
	}
	h2.Length = h.Length
	if !done2 || err2 != nil || !reflect.DeepEqual(h2, h) {
		t.Fatalf("cut into records: got %+v %v %v, before %+v", h2, done2, err2, h)
	}
}

// cuts returns up to 40 increasing offsets below n.
func cuts(n int, rng *rand.Rand) []int {
	if n == 0 {
		return nil
	}
	at := make([]int, rng.IntN(40))
	for i := range at {
		at[i] = rng.IntN(n)
	}
	slices.Sort(at)
	return at
}
