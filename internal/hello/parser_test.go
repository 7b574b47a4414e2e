package hello

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const appName = "deadbeef111111111111111111111111deadbeef-443s.gw.example.com"

// parse gives the parser the stream in reads that end at the given lengths,
// then whole, and returns the first answer.
func parse(stream []byte, reads ...int) (*Hello, bool, error) {
	var p Parser
	for _, n := range reads {
		if done, err := p.Parse(stream[:n:n]); done || err != nil {
			return p.Hello(), done, err
		}
	}
	done, err := p.Parse(stream)
	return p.Hello(), done, err
}

func everyByte(stream []byte) []int {
	reads := make([]int, len(stream))
	for i := range reads {
		reads[i] = i
	}
	return reads
}

func wantName(t *testing.T, h *Hello, done bool, err error, name string) {
	t.Helper()
	if !done || err != nil || string(h.ServerName) != name {
		t.Fatalf("got name %q, done %v, error %v; want name %q", h.ServerName, done, err, name)
	}
}

func TestHelloByteByByteIsDoneAtItsLastByte(t *testing.T) {
	stream := goHello(t, appName)
	var p Parser
	for n := range stream {
		if done, err := p.Parse(stream[:n]); done || err != nil {
			t.Fatalf("after %d of %d bytes: done %v, error %v", n, len(stream), done, err)
		}
	}
	done, err := p.Parse(stream)
	wantName(t, p.Hello(), done, err, appName)
}

func TestEveryTwoRecordSplitIsJoined(t *testing.T) {
	message := goHello(t, appName, "h2")[recordHeader:]
	for cut := 1; cut < len(message); cut++ {
		stream := records(message, cut)
		h, done, err := parse(stream)
		wantName(t, h, done, err, appName)
		if h.Length != len(stream) || !h.ALPN.Offers("h2") || !h.Versions.Supports(versionTLS13) {
			t.Fatalf("cut at %d: got %+v", cut, h)
		}
	}
}

func TestOneByteRecordsInOneByteReadsAreJoined(t *testing.T) {
	message := clientHello{extensions: []extension{serverName(appName)}}.message()
	stream := records(message, slices.Repeat([]int{1}, len(message))...)
	h, done, err := parse(stream, everyByte(stream)...)
	wantName(t, h, done, err, appName)
}

func TestCutInsideTheServerNameIsJoined(t *testing.T) {
	message := clientHello{extensions: []extension{serverName(appName)}}.message()
	cut := bytes.Index(message, []byte(appName)) + len(appName)/2
	stream := records(message, cut)
	for reads := range stream {
		h, done, err := parse(stream, reads)
		wantName(t, h, done, err, appName)
	}
}

func TestServerNameBehindSixKilobytesOfKeySharesIsFound(t *testing.T) {
	const keyShare = 51
	message := clientHello{extensions: []extension{
		{keyShare, make([]byte, 6<<10)},
		serverName(appName),
	}}.message()
	for _, stream := range [][]byte{records(message), records(message, 1400, 1400, 1400)} {
		h, done, err := parse(stream, everyByte(stream)...)
		wantName(t, h, done, err, appName)
	}
}

// sized returns a message whose body has n bytes. An extension block holds at
// most 65,535, so some of them are cipher suites.
func sized(n int) []byte {
	c := clientHello{suites: make([]byte, 200), extensions: []extension{serverName(appName), {65000, nil}}}
	c.extensions[1].data = make([]byte, n-len(c.message()[messageHeader:]))
	return c.message()
}

func TestBodyOf64KiBIsTheLargest(t *testing.T) {
	h, done, err := parse(records(sized(maxBody)))
	wantName(t, h, done, err, appName)

	tooLarge := records(sized(maxBody + 1))
	header := recordHeader + messageHeader
	if _, done, err = parse(tooLarge[:header-1]); done || err != nil {
		t.Errorf("one byte more, before its length is known: got done %v, error %v", done, err)
	}
	if _, done, err = parse(tooLarge[:header]); done || !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: got done %v, error %v as its length came; want ErrTooLarge", done, err)
	}
}

func TestHelloInTooManyRecordsIsRefused(t *testing.T) {
	message := sized(8 << 10)
	stream := records(message, slices.Repeat([]int{1}, len(message))...)
	h, done, err := parse(stream)
	wantName(t, h, done, err, appName)

	message = sized(16 << 10)
	stream = records(message, slices.Repeat([]int{1}, len(message))...)
	if _, done, err := parse(stream); done || !errors.Is(err, ErrTooLarge) {
		t.Fatalf("got done %v, error %v; want ErrTooLarge", done, err)
	}
}

func TestMaxStreamIsTheMostThatRecordsMayTake(t *testing.T) {
	for _, c := range []struct {
		body, stream int
	}{{65532, MaxStream}, {65533, MaxStream + 1}} {
		stream := records(sized(c.body), slices.Repeat([]int{79}, 819)...)
		if len(stream) != c.stream {
			t.Fatalf("the test's stream is %d bytes, want %d", len(stream), c.stream)
		}
		_, done, err := parse(stream)
		if tooLarge := errors.Is(err, ErrTooLarge); done == tooLarge || done != (c.stream == MaxStream) {
			t.Errorf("%d bytes: got done %v, error %v", c.stream, done, err)
		}
	}
}

func TestStreamOfMaxStreamIsDecided(t *testing.T) {
	message := sized(60 << 10)
	for size := 1; size < 200; size++ {
		stream := records(message, slices.Repeat([]int{size}, len(message)/size)...)
		if len(stream) < MaxStream {
			continue
		}
		if _, done, err := parse(stream[:MaxStream]); !done && err == nil {
			t.Fatalf("records of %d bytes: %d bytes of stream decided nothing", size, MaxStream)
		}
	}
}

func TestBytesAfterTheHelloAreLeft(t *testing.T) {
	hello := goHello(t, appName)
	stream := append(slices.Clone(hello), "early data, which need not look like TLS"...)
	h, done, err := parse(stream)
	wantName(t, h, done, err, appName)
	if h.Length != len(hello) {
		t.Errorf("got length %d, want %d", h.Length, len(hello))
	}
}

func TestBadRecordIsRefusedAtItsFirstWrongByte(t *testing.T) {
	message := clientHello{}.message()
	first := records(message, 10)[:recordHeader+10]
	for _, c := range []struct {
		what   string
		stream string
		want   *Error
	}{
		{"HTTP", "G", ErrNotTLS},
		{"SSH", "S", ErrNotTLS},
		{"SSLv2", "\x80", ErrNotTLS},
		{"PostgreSQL SSLRequest", "\x00", ErrNotTLS},
		{"heartbeat", "\x18", ErrNotTLS},
		{"change_cipher_spec", "\x14", errRecordType},
		{"alert", "\x15", errRecordType},
		{"application data", "\x17", errRecordType},
		{"version 2.x", "\x16\x02", ErrNotTLS},
		{"empty record", "\x16\x03\x01\x00\x00", errRecordEmpty},
		{"record of 2^14+1", "\x16\x03\x01\x40\x01", errRecordOverflow},
		{"ServerHello", "\x16\x03\x01\x00\x50\x02", errMessageType},
		{"message shorter than its record", "\x16\x03\x01\x00\x50\x01\x00\x00\x4b", errTrailing},
		{"alert amid the message", string(first) + "\x15", errRecordType},
		{"version 4.x amid the message", string(first) + "\x16\x04", errRecordVersion},
		{"empty record amid the message", string(first) + "\x16\x03\x01\x00\x00", errRecordEmpty},
		{"second record too long", string(first) + "\x16\x03\x01\x40\x00", errTrailing},
	} {
		t.Run(c.what, func(t *testing.T) {
			stream := []byte(c.stream)
			if _, done, err := parse(stream[:len(stream)-1]); done || err != nil {
				t.Errorf("a byte earlier: done %v, error %v", done, err)
			}
			if _, done, err := parse(stream); done || !errors.Is(err, c.want) {
				t.Errorf("got done %v, error %v; want %v", done, err, c.want)
			}
		})
	}
}

func TestAnswerIsFinal(t *testing.T) {
	hello := records(clientHello{extensions: []extension{serverName("a.example")}}.message())
	var p Parser
	for _, stream := range [][]byte{hello, append(hello, "GET"...)} {
		done, err := p.Parse(stream)
		wantName(t, p.Hello(), done, err, "a.example")
	}
	var q Parser
	for _, stream := range []string{"GET", "\x16\x03\x01"} {
		if done, err := q.Parse([]byte(stream)); done || !errors.Is(err, ErrNotTLS) {
			t.Errorf("got done %v, error %v; want ErrNotTLS", done, err)
		}
	}
}

func TestRefusedHelloTellsNothing(t *testing.T) {
	stream := records(clientHello{session: make([]byte, 32), extensions: []extension{
		serverName("a.example"), alpn("h2"), {extSupportedVersions, nil},
	}}.message())
	h, _, err := parse(stream)
	if !errors.Is(err, errVersions) || !reflect.DeepEqual(*h, Hello{}) {
		t.Errorf("got %+v with %v", h, err)
	}
}

func TestAppendToAViewLeavesTheStreamAlone(t *testing.T) {
	stream := records(clientHello{session: make([]byte, 32), extensions: []extension{
		serverName("a.example"), alpn("h2"), {65000, nil},
	}}.message())
	before := slices.Clone(stream)
	h, done, err := parse(stream)
	wantName(t, h, done, err, "a.example")
	_ = append(h.ServerName, '!')
	_ = append(h.SessionID, '!')
	for proto := range h.ALPN.All() {
		_ = append(proto, '!')
	}
	if !bytes.Equal(stream, before) {
		t.Error("the stream has changed")
	}
}

func TestAlertFollowsTheError(t *testing.T) {
	for _, c := range []struct {
		err  *Error
		want uint8
	}{
		{ErrNotTLS, 0},
		{ErrTooLarge, 47},
		{ErrServerName, 112},
		{errRecordOverflow, 22},
		{errRecordType, 10},
		{errDuplicate, 47},
		{errBody, 50},
	} {
		if got := c.err.Alert; got != c.want {
			t.Errorf("%v: got alert %d, want %d", c.err, got, c.want)
		}
	}
	if text := ErrNotTLS.Error(); !strings.HasPrefix(text, "client hello: ") {
		t.Errorf("got %q", text)
	}
}
