package hello

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// parseMessage parses c as one record.
func parseMessage(c clientHello) (*Hello, bool, error) { return parse(records(c.message())) }

func wantError(t *testing.T, done bool, err error, want *Error) {
	t.Helper()
	if done || !errors.Is(err, want) {
		t.Errorf("got done %v, error %v; want %v", done, err, want)
	}
}

func TestHelloWithoutExtensionsHasNoName(t *testing.T) {
	for _, extensions := range [][]extension{nil, {}} {
		h, done, err := parseMessage(clientHello{extensions: extensions})
		if !done || err != nil || h.ServerName != nil || !h.ALPN.Empty() {
			t.Errorf("got %+v, done %v, error %v", h, done, err)
		}
	}
}

func TestNameHasOneForm(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 63)
	for name, want := range map[string]string{
		"a": "a", "a.example": "a.example", "A.Example": "a.example", "a.example.": "a.example", "Z.": "z",
		"xn--bcher-kva.example": "xn--bcher-kva.example", "-a-.example": "-a-.example", "127.0.0.1": "127.0.0.1",
		"my_app.example": "my_app.example", "_A._TCP.example.": "_a._tcp.example", long: long, strings.ToUpper(long): long,
	} {
		h, done, err := parseMessage(clientHello{extensions: []extension{serverName(name)}})
		wantName(t, h, done, err, want)
	}
}

// The stream is passed on as it came.
func TestNameInOneFormLeavesTheStreamAsItIs(t *testing.T) {
	for _, name := range []string{"App.Example", "app.example.", "APP.EXAMPLE."} {
		stream := records(clientHello{extensions: []extension{serverName(name)}}.message())
		was := bytes.Clone(stream)
		h, done, err := parse(stream)
		wantName(t, h, done, err, "app.example")
		_ = append(h.ServerName, '!')
		if !bytes.Equal(stream, was) {
			t.Errorf("%q: the stream has changed", name)
		}
	}
}

func TestEachByteOfANameIsJudgedAlike(t *testing.T) {
	for c := range 256 {
		name := "a" + string([]byte{byte(c)}) + "a"
		good := strings.Contains("-_.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", name[1:2])
		got, ok := canonical([]byte(name))
		if ok != good || ok && string(got) != strings.ToLower(name) {
			t.Errorf("%q: %q, %v", name, got, ok)
		}
	}
}

func TestNameThatIsNoHostNameIsRefused(t *testing.T) {
	for _, name := range []string{
		".", ".a", "a..b", "a..", "a b", "a\x00.example", "bücher.example", "::1", "a\n",
		"*.example", "a/b", strings.Repeat("a", 64) + ".example", "www." + strings.Repeat("a", 64), strings.Repeat("a.", 128),
	} {
		_, done, err := parseMessage(clientHello{extensions: []extension{serverName(name)}})
		wantError(t, done, err, ErrServerName)
	}
}

func TestServerNameOfAnotherTypeIsSkipped(t *testing.T) {
	for _, list := range [][]byte{
		nameList(1, "\x00not a host", nameTypeHost, "a.example"),
		nameList(nameTypeHost, "a.example", 255, "x"),
	} {
		h, done, err := parseMessage(clientHello{extensions: []extension{{extServerName, list}}})
		wantName(t, h, done, err, "a.example")
	}
	h, done, err := parseMessage(clientHello{extensions: []extension{{extServerName, nameList(1, "x")}}})
	if !done || err != nil || h.ServerName != nil {
		t.Errorf("no host name: got %q, done %v, error %v", h.ServerName, done, err)
	}
}

func TestMalformedExtensionIsRefused(t *testing.T) {
	trailing := func(e extension) extension { return extension{e.kind, append(e.data, 0)} }
	short := func(e extension) extension { return extension{e.kind, e.data[:len(e.data)-1]} }
	for _, c := range []struct {
		what string
		ext  extension
		want *Error
	}{
		{"server_name empty, as a server sends it", extension{extServerName, nil}, errNameList},
		{"server_name without names", extension{extServerName, nameList()}, errNameList},
		{"server_name with an empty name", serverName(""), errNameList},
		{"server_name with an empty name of another type", extension{extServerName, nameList(1, "", 0, "a")}, errNameList},
		{"server_name overrun", short(serverName("a.example")), errNameList},
		{"server_name trailing", trailing(serverName("a.example")), errNameList},
		{"server_name type without a name", extension{extServerName, []byte{0, 1, 0}}, errNameList},
		{"two host names", extension{extServerName, nameList(0, "a.example", 0, "a.example")}, errTwoNames},
		{"ALPN without a list", extension{extALPN, nil}, errALPN},
		{"ALPN with an empty list", alpn(), errALPN},
		{"ALPN with an empty protocol", alpn("h2", ""), errALPN},
		{"ALPN overrun", short(alpn("h2")), errALPN},
		{"ALPN protocol overrun", extension{extALPN, []byte{0, 3, 3, 'h', '2'}}, errALPN},
		{"ALPN trailing", trailing(alpn("h2")), errALPN},
		{"versions without a list", extension{extSupportedVersions, nil}, errVersions},
		{"versions with an empty list", versions(), errVersions},
		{"versions of odd length", extension{extSupportedVersions, []byte{3, 3, 4, 3}}, errVersions},
		{"versions overrun", short(versions(versionTLS13)), errVersions},
		{"versions trailing", trailing(versions(versionTLS13)), errVersions},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, done, err := parseMessage(clientHello{extensions: []extension{c.ext}})
			wantError(t, done, err, c.want)
		})
	}
}

func TestMalformedBodyIsRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		hello clientHello
		want  *Error
	}{
		{"session id of 33 bytes", clientHello{session: make([]byte, 33)}, errBody},
		{"no cipher suites", clientHello{suites: []byte{}}, errBody},
		{"half a cipher suite", clientHello{suites: []byte{0x13, 0x01, 0x13}}, errBody},
		{"no compression methods", clientHello{methods: []byte{}}, errCompression},
		{"only DEFLATE", clientHello{methods: []byte{1}}, errCompression},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, done, err := parseMessage(c.hello)
			wantError(t, done, err, c.want)
		})
	}
}

// A message cut short, its length field made to agree, is refused wherever the
// cut is, except where the extension block begins: it may be missing.
func TestEveryTruncatedMessageIsRefused(t *testing.T) {
	c := clientHello{session: make([]byte, 32), extensions: []extension{
		serverName("a.example"), alpn("h2"), versions(versionTLS13), {51, []byte("xyz")},
	}}
	message := c.message()
	c.extensions = nil
	withoutBlock := len(c.message())
	for n := messageHeader; n < len(message); n++ {
		cut := slices.Clone(message[:n])
		cut[2], cut[3] = byte((n-messageHeader)>>8), byte(n-messageHeader)
		_, done, err := parse(records(cut))
		if wantDone := n == withoutBlock; done != wantDone || (err == nil) != wantDone {
			t.Errorf("cut at %d of %d: got done %v, error %v", n, len(message), done, err)
		}
	}
}

func TestBytesAfterTheExtensionsAreRefused(t *testing.T) {
	message := append(clientHello{extensions: []extension{serverName("a.example")}}.message(), 0)
	message[3]++
	_, done, err := parse(records(message))
	wantError(t, done, err, errExtensions)
}

func TestDuplicateExtensionIsRefused(t *testing.T) {
	// Enough extensions for every tier of the set, each in turn sent again.
	var all []extension
	for kind := uint16(50); kind < 64; kind++ {
		all = append(all, extension{kind, nil})
	}
	for kind := uint16(64); kind < 64+3*16; kind++ {
		all = append(all, extension{kind * 577, nil})
	}
	if _, done, err := parseMessage(clientHello{extensions: all}); !done || err != nil {
		t.Fatalf("no duplicate: got done %v, error %v", done, err)
	}
	for _, again := range all {
		_, done, err := parseMessage(clientHello{extensions: append(slices.Clone(all), again)})
		wantError(t, done, err, errDuplicate)
	}
}

func TestALPNIsOfferedInOrder(t *testing.T) {
	h, done, err := parseMessage(clientHello{extensions: []extension{alpn("h2", "http/1.1", "postgresql")}})
	if !done || err != nil {
		t.Fatalf("got done %v, error %v", done, err)
	}
	var got []string
	for proto := range h.ALPN.All() {
		got = append(got, string(proto))
	}
	if want := []string{"h2", "http/1.1", "postgresql"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for range h.ALPN.All() {
		break // must not yield again
	}
	for proto, want := range map[string]bool{"h2": true, "postgresql": true, "h": false, "": false, "http/1.0": false} {
		if got := h.ALPN.Offers(proto); got != want {
			t.Errorf("offers %q: got %v", proto, got)
		}
	}
}

func TestVersionsOffered(t *testing.T) {
	const grease = 0xfafa
	for _, c := range []struct {
		what      string
		hello     clientHello
		max       uint16
		supported []uint16
	}{
		{"browser", clientHello{extensions: []extension{versions(grease, 0x0304, 0x0303)}}, 0x0304, []uint16{0x0304, 0x0303, grease}},
		{"TLS 1.2 by legacy_version", clientHello{}, 0x0303, []uint16{0x0301, 0x0302, 0x0303}},
		{"TLS 1.0 by legacy_version", clientHello{legacy: 0x0301}, 0x0301, []uint16{0x0301}},
		{"legacy_version cannot offer TLS 1.3", clientHello{legacy: 0x0304}, 0x0303, []uint16{0x0301, 0x0302, 0x0303}},
		{"SSL 3.0", clientHello{legacy: 0x0300}, 0, nil},
		{"the extension wins over legacy_version", clientHello{extensions: []extension{versions(0x0304)}}, 0x0304, []uint16{0x0304}},
		{"only drafts and GREASE", clientHello{extensions: []extension{versions(grease, 0x7f1c)}}, 0, []uint16{grease, 0x7f1c}},
	} {
		t.Run(c.what, func(t *testing.T) {
			h, done, err := parseMessage(c.hello)
			if !done || err != nil {
				t.Fatalf("got done %v, error %v", done, err)
			}
			if got := h.Versions.Max(); got != c.max {
				t.Errorf("max: got %04x, want %04x", got, c.max)
			}
			for _, v := range []uint16{0x0200, 0x0300, 0x0301, 0x0302, 0x0303, 0x0304, 0x0305, 0x7f1c, grease} {
				if got, want := h.Versions.Supports(v), slices.Contains(c.supported, v); got != want {
					t.Errorf("supports %04x: got %v, want %v", v, got, want)
				}
			}
		})
	}
}

func TestSmallRecordsAreAskedFor(t *testing.T) {
	fragment := func(b ...byte) extension { return extension{extMaxFragment, b} }
	limit := func(b ...byte) extension { return extension{extRecordLimit, b} }
	for _, tt := range []struct {
		extensions []extension
		want       int
	}{
		{nil, 0},
		{[]extension{fragment(1)}, 512},
		{[]extension{fragment(2)}, 1024},
		{[]extension{fragment(3)}, 2048},
		{[]extension{fragment(4)}, 4096},
		{[]extension{limit(0, 64)}, 63},
		{[]extension{limit(2, 1)}, 512},
		{[]extension{limit(0x40, 0)}, 16383},
		{[]extension{limit(0x40, 1)}, 0}, // what Firefox sends: no limit in TLS 1.3
		{[]extension{limit(0xff, 0xff)}, 0},
		{[]extension{fragment(1), limit(4, 1)}, 1024},
		{[]extension{limit(4, 1), fragment(1)}, 1024},
		// Without a meaning: whoever honours it refuses it, and a gateway may pass it through.
		{[]extension{fragment(0)}, 0},
		{[]extension{fragment(5)}, 0},
		{[]extension{fragment(200)}, 0},
		{[]extension{fragment()}, 0},
		{[]extension{fragment(1, 1)}, 0},
		{[]extension{limit(0, 63)}, 0},
		{[]extension{limit(2)}, 0},
		{[]extension{limit()}, 0},
	} {
		h, done, err := parseMessage(clientHello{extensions: tt.extensions})
		if !done || err != nil || h.MaxPlaintext != tt.want {
			t.Errorf("%v: got %d, done %v, error %v; want %d", tt.extensions, h.MaxPlaintext, done, err, tt.want)
		}
	}
}

func TestEarlyDataIsSeen(t *testing.T) {
	for _, offered := range []bool{false, true} {
		c := clientHello{extensions: []extension{serverName("a.example")}}
		if offered {
			c.extensions = append(c.extensions, extension{extEarlyData, nil})
		}
		if h, done, err := parseMessage(c); !done || err != nil || h.EarlyData != offered {
			t.Errorf("offered %v: got %v, done %v, error %v", offered, h.EarlyData, done, err)
		}
	}
}

// A server goes through each of these: a hello of 64 KiB may have 30,000.
func TestEntriesOfAllListsAreCounted(t *testing.T) {
	list16 := func(b ...byte) []byte { return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...) }
	const suites, name = 1, 1 // those of each hello of the test
	for what, tt := range map[string]struct {
		extension
		want int // in it
	}{
		"protocols":          {alpn("h2", "http/1.1", "x"), 3},
		"groups":             {extension{extGroups, list16(0, 29, 0, 23)}, 3},
		"signatures":         {extension{extSignatures, list16(4, 3, 8, 4)}, 3},
		"signatures of CAs":  {extension{extSignaturesCert, list16(4, 3, 8, 4)}, 3},
		"key shares":         {extension{extKeyShare, list16(0, 29, 0, 1, 9, 0, 23, 0, 2, 9, 9)}, 2},
		"tickets":            {extension{extPreSharedKey, append(list16(0, 1, 7, 0, 0, 0, 0, 0, 1, 8, 0, 0, 0, 0), list16(2, 5, 5, 1, 5)...)}, 4},
		"cut short":          {extension{extKeyShare, list16(0, 29, 0, 9, 9)}, 1},
		"nothing":            {extension{extPreSharedKey, nil}, 0},
		"what nobody reads":  {extension{0x4242, make([]byte, 1000)}, 0},
		"grease, and empty":  {extension{0x0a0a, nil}, 0},
		"a list in one byte": {extension{extALPN, list16(1, 'x')}, 1},
	} {
		h, done, err := parseMessage(clientHello{extensions: []extension{serverName("a.example"), tt.extension}})
		if want := suites + name + 1 + tt.want; !done || err != nil || h.Entries != want {
			t.Errorf("%s: got %d, done %v, error %v; want %d", what, h.Entries, done, err, want)
		}
	}
	h, _, _ := parseMessage(clientHello{suites: make([]byte, 60)})
	if h.Entries != 30 {
		t.Errorf("30 cipher suites count %d", h.Entries)
	}
}

func TestOnlyMeansOneProtocolAndNoOther(t *testing.T) {
	for _, c := range []struct {
		offered []string
		want    bool
	}{{[]string{ACMETLS1}, true}, {[]string{ACMETLS1, HTTP2}, false}, {[]string{HTTP2}, false}, {[]string{ACMETLS1 + "x"}, false}, {[]string{"acme-tls/2"}, false}} {
		h, done, err := parseMessage(clientHello{extensions: []extension{serverName("a.example"), alpn(c.offered...)}})
		wantName(t, h, done, err, "a.example")
		if got := h.ALPN.Only(ACMETLS1); got != c.want {
			t.Errorf("%q: %v", c.offered, got)
		}
	}
	if (ALPN{}).Only(ACMETLS1) || (ALPN{}).Only("") {
		t.Error("a hello without ALPN offers something")
	}
}

func TestModesHaveWords(t *testing.T) {
	words := map[string]bool{}
	for m := range Modes {
		words[m.String()] = true
	}
	if len(words) != int(Modes) || words[""] {
		t.Errorf("%v", words)
	}
}
