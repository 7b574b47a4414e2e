package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// largestHello is 64 KiB behind the four bytes of a handshake message's head, as
// much as crypto/tls takes.
const largestHello = 4 + 64<<10

// A hello reaches the instance byte for byte as it was sent, whatever its shape.
func TestHelloOfAnyShapeIsUnderstoodAndPassedOnUnchanged(t *testing.T) {
	w := newWorld(t)
	w.start()
	l := w.cvms[0].host.Listen(t, ":443")
	plain := gwtest.Hello{ServerName: name("alpha", "s")}
	message := plain.Message()
	inName := bytes.Index(message, []byte("alpha")) + 2

	for _, tt := range []struct {
		name   string
		pieces [][]byte // each written by itself
	}{
		{"Whole", [][]byte{plain.Record()}},
		{"ByteByByte", each(plain.Record())},
		{"InTwoRecords", [][]byte{gwtest.Records(message, len(message)/2+1)}},
		{"InTwoRecordsCutInsideTheServerName", [][]byte{gwtest.Records(message, inName)}},
		{"InRecordsOfOneByteEach", [][]byte{gwtest.Records(message, 1)}},
		{"SegmentsCutInsideTheServerName", [][]byte{plain.Record()[:inName+5], plain.Record()[inName+5:]}},
		{"SixKilobytesOfKeySharesBeforeTheName", [][]byte{gwtest.Hello{ServerName: plain.ServerName, KeyShares: 5}.Record()}},
		{"OfTheLargestSize", [][]byte{gwtest.Hello{ServerName: plain.ServerName, Size: largestHello}.Record()}},
		{"InUpperCase", [][]byte{gwtest.Hello{ServerName: strings.ToUpper(plain.ServerName)}.Record()}},
		{"WithATrailingDot", [][]byte{gwtest.Hello{ServerName: plain.ServerName + "."}.Record()}},
		{"FollowedAtOnceByData", [][]byte{append(plain.Record(), "early"...)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			c := w.dial()
			c.SetNoDelay(true)
			for _, p := range tt.pieces {
				mustWrite(t, c, p)
			}
			instance := accept(t, l)
			defer instance.Close()
			mustRead(t, instance, string(bytes.Join(tt.pieces, nil)))
			mustWrite(t, instance, []byte("answer"))
			mustRead(t, c, "answer")
		})
	}
}

// The same with handshakes that come to their end.
func TestHandshakeCompletesHoweverItsHelloIsCut(t *testing.T) {
	w := newWorld(t)
	w.start()
	w.cvms[0].serveTLS(t, ":80", &tls.Config{}) // never spoken to: the gateway has its own handshake
	for _, size := range []int{1, 7, 100, 700} {
		t.Run(fmt.Sprintf("InRecordsOf%d", size), func(t *testing.T) {
			w := w.in(t)
			w.handshake(&cutter{Conn: w.dial(), size: size}, &tls.Config{ServerName: name("alpha", "")})
		})
	}
}

// A cutter puts the first flight of a TLS client into smaller records.
type cutter struct {
	net.Conn

	size int
	cut  bool
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut {
		return c.Conn.Write(p)
	}
	c.cut = true
	_, err := c.Conn.Write(gwtest.Records(p[5:], c.size))
	return len(p), err
}

func each(b []byte) [][]byte {
	var out [][]byte
	for i := range b {
		out = append(out, b[i:i+1])
	}
	return out
}
