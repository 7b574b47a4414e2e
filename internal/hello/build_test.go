package hello

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
)

// clientHello builds a message field by field; what is zero gets a sound value.
type clientHello struct {
	legacy     uint16
	session    []byte
	suites     []byte
	methods    []byte
	extensions []extension // nil: no extension block at all
}

type extension struct {
	kind uint16
	data []byte
}

func (c clientHello) message() []byte {
	b := cryptobyte.NewBuilder([]byte{typeClientHello})
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(cmp.Or(c.legacy, tls.VersionTLS12))
		b.AddBytes(bytes.Repeat([]byte{0x42}, lengthRandom))
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.session) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(orBytes(c.suites, 0x13, 0x01)) })
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(orBytes(c.methods, compressionNull)) })
		if c.extensions == nil {
			return
		}
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, e := range c.extensions {
				b.AddUint16(e.kind)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(e.data) })
			}
		})
	})
	return b.BytesOrPanic()
}

func orBytes(b []byte, otherwise ...byte) []byte {
	if b != nil {
		return b
	}
	return otherwise
}

func serverName(name string) extension {
	return extension{extServerName, nameList(nameTypeHost, name)}
}

// nameList builds a ServerNameList of (type, name) pairs.
func nameList(pairs ...any) []byte {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for i := 0; i < len(pairs); i += 2 {
			b.AddUint8(uint8(pairs[i].(int)))
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(pairs[i+1].(string))) })
		}
	})
	return b.BytesOrPanic()
}

func alpn(protos ...string) extension {
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, p := range protos {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(p)) })
		}
	})
	return extension{extALPN, b.BytesOrPanic()}
}

func versions(list ...uint16) extension {
	var b cryptobyte.Builder
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(v)
		}
	})
	return extension{extSupportedVersions, b.BytesOrPanic()}
}

// records cuts message into records of the given sizes, the rest into the
// largest that are allowed.
func records(message []byte, sizes ...int) []byte {
	var b cryptobyte.Builder
	for len(message) > 0 {
		n := min(len(message), maxRecord)
		if len(sizes) > 0 {
			n, sizes = min(n, sizes[0]), sizes[1:]
		}
		b.AddUint8(typeHandshake)
		b.AddUint16(tls.VersionTLS10)
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(message[:n]) })
		message = message[n:]
	}
	return b.BytesOrPanic()
}

// goHello returns the hello that crypto/tls sends, ML-KEM key share included.
func goHello(t testing.TB, name string, protos ...string) []byte {
	t.Helper()
	var conn memoryConn
	client := tls.Client(&conn, &tls.Config{ServerName: name, NextProtos: protos})
	if err := client.HandshakeContext(t.Context()); err == nil {
		t.Fatal("handshake without a server succeeded")
	}
	return conn.written
}

// oracle returns what crypto/tls sees in stream, or why it refuses it.
func oracle(stream []byte) (*tls.ClientHelloInfo, error) {
	var info *tls.ClientHelloInfo
	server := tls.Server(&memoryConn{unread: stream}, &tls.Config{
		GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
			info = i
			return nil, errors.New("seen enough")
		},
	})
	err := server.HandshakeContext(context.Background())
	return info, err
}

// memoryConn reads what it was given, then EOF, and records what is written.
type memoryConn struct {
	net.Conn // nil: what is not below must not be called
	unread   []byte
	written  []byte
}

func (c *memoryConn) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *memoryConn) Write(b []byte) (int, error) {
	c.written = append(c.written, b...)
	return len(b), nil
}

func (c *memoryConn) Close() error                     { return nil }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }
