package gwtest

import (
	"encoding/binary"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Numbers of RFC 8446.
const (
	recordHandshake = 22
	helloMessage    = 1
	extServerName   = 0
	extGroups       = 10
	extSignatures   = 13
	extALPN         = 16
	extPadding      = 21
	extVersions     = 43
	extKeyShare     = 51
	groupMLKEM      = 4588 // X25519MLKEM768
)

// Hello describes a ClientHello. It is well formed, and no server could finish
// a handshake with it: the keys in it are nobody's.
type Hello struct {
	ServerName string // sent as it is; "" sends no server_name at all
	ALPN       []string

	// KeyShares is the number of 1,216-byte post-quantum key shares. They stand
	// before the server name, as extensions may.
	KeyShares int

	// Size pads the handshake message to that many bytes, its head included.
	Size int
}

// Message is the handshake message, without a record around it.
func (h Hello) Message() []byte {
	m := h.message(0)
	if pad := h.Size - len(m) - 4; pad >= 0 {
		m = h.message(pad + 1)
	}
	return m
}

// message has padding-1 bytes in a padding extension; 0 is no such extension.
func (h Hello) message(padding int) []byte {
	var b cryptobyte.Builder
	b.AddUint8(helloMessage)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(0x0303)
		b.AddBytes(slices.Repeat([]byte{0x5a}, 32)) // random
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 32)) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x1301); b.AddUint16(0xc02b) })
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint8(0) })
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { h.extensions(b, padding) })
	})
	return b.BytesOrPanic()
}

func (h Hello) extensions(b *cryptobyte.Builder, padding int) {
	extension(b, extVersions, func(b *cryptobyte.Builder) {
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x0304); b.AddUint16(0x0303) })
	})
	extension(b, extSignatures, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(0x0403) })
	})
	extension(b, extGroups, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddUint16(groupMLKEM) })
	})
	if h.KeyShares > 0 {
		extension(b, extKeyShare, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for range h.KeyShares {
					b.AddUint16(groupMLKEM)
					b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, 1216)) })
				}
			})
		})
	}
	if padding > 0 {
		extension(b, extPadding, func(b *cryptobyte.Builder) { b.AddBytes(make([]byte, padding-1)) })
	}
	if h.ServerName != "" {
		extension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.ServerName)) })
			})
		})
	}
	if len(h.ALPN) > 0 {
		extension(b, extALPN, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, p := range h.ALPN {
					b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(p)) })
				}
			})
		})
	}
}

func extension(b *cryptobyte.Builder, id uint16, body cryptobyte.BuilderContinuation) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(body)
}

// Record is the message in records of the usual size.
func (h Hello) Record() []byte { return Records(h.Message(), 16384) }

// Records puts a handshake message into records of at most size bytes each.
func Records(message []byte, size int) []byte {
	var out []byte
	for part := range slices.Chunk(message, size) {
		out = append(out, recordHandshake, 3, 1)
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}
