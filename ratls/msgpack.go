package ratls

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The part of MessagePack (github.com/msgpack/msgpack, spec.md) that dstack's
// certificates use: nil, byte strings, short names, and the heads of arrays and
// maps.
//
// What is read was written by a stranger. A count or length in it is compared
// with the bytes that are left before anything is made of it: an element takes at
// least one byte, so no head can ask for more memory than its input has bytes.
// Nothing here recurses: how deep a value goes is up to the code that reads it.

// First bytes of values.
const (
	mpFixMap   = 0x80 // 0x80 | n entries, n < 16
	mpFixArray = 0x90 // 0x90 | n elements, n < 16
	mpFixStr   = 0xa0 // 0xa0 | n bytes, n < 32
	mpNil      = 0xc0
	mpBin8     = 0xc4
	mpBin16    = 0xc5
	mpBin32    = 0xc6
	mpUint8    = 0xcc
	mpStr8     = 0xd9
	mpStr16    = 0xda
	mpStr32    = 0xdb
	mpArray16  = 0xdc
	mpArray32  = 0xdd
	mpMap16    = 0xde
	mpMap32    = 0xdf
)

var (
	errShort    = errors.New("ends too early")
	errTrailing = errors.New("bytes after the end")
)

// mpReader reads values from the front of b. Each method leaves b behind what
// it read, and anywhere when it fails.
type mpReader struct{ b []byte }

// peek is the next value's first byte; 0xc1, which begins no value, at the end.
func (r *mpReader) peek() byte {
	if len(r.b) == 0 {
		return 0xc1
	}
	return r.b[0]
}

// null reads a nil, if there is one.
func (r *mpReader) null() bool {
	if r.peek() != mpNil {
		return false
	}
	r.b = r.b[1:]
	return true
}

// bytes reads a byte string of at most limit bytes into memory of its own. Rust's
// serde writes one as bin or as an array of integers, as the field's type has it.
func (r *mpReader) bytes(limit int) ([]byte, error) {
	switch first := r.peek(); first {
	case mpBin8, mpBin16, mpBin32:
		n, err := r.size(1<<(first-mpBin8), 1)
		if err != nil {
			return nil, err
		}
		if n > limit {
			return nil, fmt.Errorf("%d bytes, want at most %d", n, limit)
		}
		out := append([]byte(nil), r.b[:n]...)
		r.b = r.b[n:]
		return out, nil
	}
	n, err := r.array()
	if err != nil {
		return nil, fmt.Errorf("bytes: %w", err)
	}
	if n > limit {
		return nil, fmt.Errorf("%d bytes, want at most %d", n, limit)
	}
	var out []byte
	for range n {
		v, err := r.octet()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// octet reads an integer of 0 to 255 in its shortest form.
func (r *mpReader) octet() (byte, error) {
	switch first := r.peek(); {
	case first < mpFixMap:
		r.b = r.b[1:]
		return first, nil
	case first == mpUint8 && len(r.b) >= 2:
		v := r.b[1]
		r.b = r.b[2:]
		return v, nil
	case first == mpUint8 || len(r.b) == 0:
		return 0, errShort
	}
	return 0, fmt.Errorf("0x%02x where a byte is due", r.b[0])
}

// name reads a string; the answer is a view.
func (r *mpReader) name() ([]byte, error) {
	n, err := r.count(kindStr)
	if err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s, nil
}

// array reads the head of an array: as many values follow.
func (r *mpReader) array() (int, error) { return r.count(kindArray) }

// dict reads the head of a map: as many pairs follow.
func (r *mpReader) dict() (int, error) { return r.count(kindMap) }

// isMap reports whether the next value is a map.
func (r *mpReader) isMap() bool {
	first := r.peek()
	return first&0xf0 == mpFixMap || first == mpMap16 || first == mpMap32
}

// An mpKind is a family of values with a count at its head.
type mpKind struct {
	what     string
	fix      byte // first byte of the short form, less the count
	fixBits  byte // the bits of the count in it
	first    byte // first byte of the shortest long form
	width    int  // of the count that follows it; the next form has twice as many
	forms    byte
	itemSize int // least bytes of one item
}

var (
	kindStr   = mpKind{"a string", mpFixStr, 0x1f, mpStr8, 1, 3, 1}
	kindArray = mpKind{"an array", mpFixArray, 0x0f, mpArray16, 2, 2, 1}
	kindMap   = mpKind{"a map", mpFixMap, 0x0f, mpMap16, 2, 2, 2}
)

// count reads a head of kind k and returns how many items follow; they may
// be incomplete, but there is at least a byte for each.
func (r *mpReader) count(k mpKind) (int, error) {
	switch first := r.peek(); {
	case len(r.b) == 0:
		return 0, errShort
	case first&^k.fixBits == k.fix:
		n := int(first & k.fixBits)
		if n*k.itemSize > len(r.b)-1 {
			return 0, errShort
		}
		r.b = r.b[1:]
		return n, nil
	case first >= k.first && first < k.first+k.forms:
		return r.size(k.width<<(first-k.first), k.itemSize)
	}
	return 0, fmt.Errorf("0x%02x where %s is due", r.b[0], k.what)
}

// size reads, behind a first byte, a big-endian count of width bytes and checks
// that so many items of at least itemSize bytes can follow.
func (r *mpReader) size(width, itemSize int) (int, error) {
	if len(r.b) < 1+width {
		return 0, errShort
	}
	var wide [4]byte
	copy(wide[4-width:], r.b[1:1+width])
	n := uint64(binary.BigEndian.Uint32(wide[:]))
	rest := r.b[1+width:]
	if n*uint64(itemSize) > uint64(len(rest)) {
		return 0, errShort
	}
	r.b = rest
	return int(n), nil
}

// appendBin writes b, of less than 64 KiB, as bin in its shortest form.
func appendBin(to, b []byte) []byte {
	if len(b) < 1<<8 {
		to = append(to, mpBin8, byte(len(b)))
	} else {
		to = append(to, mpBin16, byte(len(b)>>8), byte(len(b)))
	}
	return append(to, b...)
}
