package relay

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// offeringEarlyData is a hello of one record with the extension early_data put in.
func offeringEarlyData(record []byte) []byte {
	const (
		legacy     = recordHeader + 4 // behind the headers of the record and of the message
		sessionLen = legacy + 2 + 32
	)
	at := sessionLen + 1 + int(record[sessionLen])
	at += 2 + int(binary.BigEndian.Uint16(record[at:])) // cipher suites
	at += 1 + int(record[at])                           // compression methods
	extension := []byte{0, 42, 0, 0}
	b := slices.Insert(slices.Clone(record), at+2, extension...)
	for _, length := range []int{3, recordHeader + 2, at} {
		binary.BigEndian.PutUint16(b[length:], binary.BigEndian.Uint16(b[length:])+uint16(len(extension)))
	}
	return b
}

// The client of the test does what RFC 8446, D.3, wants of one: the answer tells it to
// connect again.
func TestClientWithEarlyDataIsAnsweredWithTLS12(t *testing.T) {
	g := start(t, nil).to(serve(t, echo))
	c := g.dial()
	write(t, c, offeringEarlyData(helloFor(t, "tls.test")))
	write(t, c, []byte{20, 3, 3, 0, 1, 1})                            // for middleboxes
	write(t, c, append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)) // what it sends early
	head := readExactly(t, c, recordHeader)
	if head[0] != typeHandshake {
		t.Fatalf("answered with a record of type %d: % x", head[0], readExactly(t, c, int(head[4])))
	}
	const serverHello = 2
	m := readExactly(t, c, int(binary.BigEndian.Uint16(head[3:])))
	if m[0] != serverHello || binary.BigEndian.Uint16(m[4:]) != 0x0303 {
		t.Fatalf("no ServerHello of TLS 1.2: % x", m)
	}
	// What TLS 1.3 would say: supported_versions, and the random that betrays a downgrade.
	if slices.Contains([]string{"DOWNGRD\x00", "DOWNGRD\x01"}, string(m[30:38])) {
		t.Error("the random tells the client of a downgrade")
	}
	at := 38 + 1 + int(m[38]) + 2 + 1 // session, suite, compression
	for e := m[at+2:]; len(e) >= 4 && at+2 < len(m); e = e[4+int(binary.BigEndian.Uint16(e[2:])):] {
		if binary.BigEndian.Uint16(e) == 43 {
			t.Error("it is TLS 1.3")
		}
	}
	_ = c.CloseWrite()
	line := g.log.wait(t, "msg=connection ")
	if !strings.Contains(line, "reason=handshake_failed") || !strings.Contains(line, "early data") {
		t.Error(line)
	}
}
