package relay

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// Types of records (RFC 8446, B.1).
const (
	typeAlert       = 21
	typeHandshake   = 22
	typeApplication = 23
)

// forger makes TLS 1.3 records that no honest stack sends, for one direction of a
// connection whose handshake crypto/tls has done.
type forger struct {
	t      *testing.T
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// forge takes the secret of label from a key log.
func forge(t *testing.T, keyLog, label string) *forger {
	t.Helper()
	_, rest, ok := strings.Cut(keyLog, label+" ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 2 {
		t.Fatalf("no %s in the key log", label)
	}
	secret, err := hex.DecodeString(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	f := &forger{t: t}
	f.rekey(secret)
	return f
}

func (f *forger) rekey(secret []byte) {
	f.secret, f.seq = secret, 0
	block, err := aes.NewCipher(f.expand("key", 16))
	if err != nil {
		f.t.Fatal(err)
	}
	if f.aead, err = cipher.NewGCM(block); err != nil {
		f.t.Fatal(err)
	}
	f.iv = f.expand("iv", 12)
}

// expand is HKDF-Expand-Label (RFC 8446, 7.1) without a context.
func (f *forger) expand(label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 "+label)))
	info = append(info, "tls13 "+label...)
	info = append(info, 0)
	b, err := hkdf.Expand(sha256.New, f.secret, string(info), n)
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// record appends a record of the inner type kind, padded with that many zeros.
func (f *forger) record(to []byte, kind byte, content []byte, padding int) []byte {
	inner := append(append([]byte(nil), content...), kind)
	inner = append(inner, make([]byte, padding)...)
	head := binary.BigEndian.AppendUint16([]byte{typeApplication, 3, 3}, uint16(len(inner)+f.aead.Overhead()))
	nonce := append([]byte(nil), f.iv...)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte(f.seq >> (8 * i))
	}
	f.seq++
	return f.aead.Seal(append(to, head...), nonce, inner, head)
}

// keyUpdate appends a KeyUpdate that asks for one back, or not.
func (f *forger) keyUpdate(to []byte, ask bool) []byte {
	message := []byte{24, 0, 0, 1, 0}
	if ask {
		message[4] = 1
	}
	to = f.record(to, typeHandshake, message, 0)
	f.rekey(f.expand("traffic upd", sha256.Size))
	return to
}

// data appends n records of one byte each.
func (f *forger) data(to []byte, n int) []byte {
	for range n {
		to = f.record(to, typeApplication, []byte{'x'}, 0)
	}
	return to
}

// forged connects a client whose TLS ends at the gateway, and the forger of what it
// sends.
func (g *gateway) forged() (*tls.Conn, *forger) {
	g.t.Helper()
	var keys strings.Builder
	c := tls.Client(g.dial(), &tls.Config{ServerName: "tls.test", RootCAs: g.roots, KeyLogWriter: &keys})
	if err := c.Handshake(); err != nil {
		g.t.Fatal(err)
	}
	if suite := c.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		g.t.Fatalf("%s was negotiated, which the forger does not know", tls.CipherSuiteName(suite))
	}
	return c, forge(g.t, keys.String(), "CLIENT_TRAFFIC_SECRET_0")
}

// serveForged is an instance whose TLS f may forge, once the handshake is done.
func serveForged(t *testing.T, conf *tls.Config, f func(raw *net.TCPConn, forged *forger)) netip.AddrPort {
	return serve(t, func(raw *net.TCPConn) {
		var keys strings.Builder
		conf := conf.Clone()
		conf.KeyLogWriter, conf.SessionTicketsDisabled = &keys, true // a ticket would be the first record
		if err := tls.Server(raw, conf).Handshake(); err == nil {
			f(raw, forge(t, keys.String(), "SERVER_TRAFFIC_SECRET_0"))
		}
	})
}
