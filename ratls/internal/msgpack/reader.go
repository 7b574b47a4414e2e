package msgpack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// First bytes of values.
const (
	FixMap   = 0x80 // FixMap | n entries, n < 16
	FixArray = 0x90 // FixArray | n elements, n < 16
	FixStr   = 0xa0 // FixStr | n bytes, n < 32
	Nil      = 0xc0
	Bin8     = 0xc4
	Bin16    = 0xc5
	Bin32    = 0xc6
	Uint8    = 0xcc
	Uint16   = 0xcd
	Uint32   = 0xce
	Uint64   = 0xcf
	Str8     = 0xd9
	Str16    = 0xda
	Str32    = 0xdb
	Array16  = 0xdc
	Array32  = 0xdd
	Map16    = 0xde
	Map32    = 0xdf
)

var (
	errShort    = errors.New("ends too early")
	errTrailing = errors.New("bytes after the end")
)

// A Reader reads values from the front of its input. Each method moves the input behind what
// it read. After an error the position is undefined.
type Reader struct{ b []byte }

// NewReader reads b, which it does not copy.
func NewReader(b []byte) *Reader { return &Reader{b} }

// End returns an error if anything is left.
func (r *Reader) End() error {
	if len(r.b) > 0 {
		return errTrailing
	}
	return nil
}

// Nil reads a nil, and reports whether there was one.
func (r *Reader) Nil() bool {
	if r.peek() != Nil {
		return false
	}
	r.b = r.b[1:]
	return true
}

// IsMap reports whether the next value is a map.
func (r *Reader) IsMap() bool {
	first := r.peek()
	return first&0xf0 == FixMap || first == Map16 || first == Map32
}

// Array reads the head of an array and returns the number of values that follow. They may be
// incomplete, but there is at least a byte for each.
func (r *Reader) Array() (int, error) { return r.count(kindArray) }

// Bytes reads a byte string of at most limit bytes and returns a copy. Rust's serde writes it
// as bin or as an array of integers, depending on the type of the field.
func (r *Reader) Bytes(limit int) ([]byte, error) {
	switch first := r.peek(); first {
	case Bin8, Bin16, Bin32:
		n, err := r.size(1<<(first-Bin8), 1)
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
	n, err := r.Array()
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

// Text reads a string in UTF-8 of at most limit bytes.
func (r *Reader) Text(limit int) (string, error) {
	s, err := r.view()
	switch {
	case err != nil:
		return "", err
	case len(s) > limit:
		return "", fmt.Errorf("%d bytes, want at most %d", len(s), limit)
	case !utf8.Valid(s):
		return "", errors.New("not UTF-8")
	}
	return string(s), nil
}

// Uint reads an integer of 0 to limit.
func (r *Reader) Uint(limit uint64) (uint64, error) {
	first := r.peek()
	if first < FixMap {
		r.b = r.b[1:]
		return atMost(uint64(first), limit)
	}
	if len(r.b) == 0 {
		return 0, errShort
	}
	if first < Uint8 || first > Uint64 {
		return 0, fmt.Errorf("0x%02x, want an unsigned integer", first)
	}
	width := 1 << (first - Uint8)
	if len(r.b) < 1+width {
		return 0, errShort
	}
	var wide [8]byte
	copy(wide[8-width:], r.b[1:1+width])
	r.b = r.b[1+width:]
	return atMost(binary.BigEndian.Uint64(wide[:]), limit)
}

// Struct reads a map with text keys in any order. It calls read with the index of each name,
// and read must read the value. An unknown name, a repeated name, and a missing one of the
// first required names are errors. There may be up to 64 names.
func (r *Reader) Struct(names []string, required int, read func(i int) error) error {
	n, err := r.count(kindMap)
	if err != nil {
		return err
	}
	var seen uint64
	for range n {
		name, err := r.view()
		if err != nil {
			return fmt.Errorf("name: %w", err)
		}
		i := slices.IndexFunc(names, func(known string) bool { return known == string(name) })
		if i < 0 {
			return errors.New("unknown field")
		}
		if seen&(1<<i) != 0 { // which of the two would count?
			return fmt.Errorf("%s: appears twice", names[i])
		}
		seen |= 1 << i
		if err := read(i); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
	}
	if first := bits.TrailingZeros64(^seen); first < required {
		return fmt.Errorf("%s: is missing", names[first])
	}
	return nil
}

// peek returns the first byte of the next value, and 0xc1, which no value begins with, at the
// end.
func (r *Reader) peek() byte {
	if len(r.b) == 0 {
		return 0xc1
	}
	return r.b[0]
}

// octet reads an integer of 0 to 255 in its shortest form.
func (r *Reader) octet() (byte, error) {
	switch first := r.peek(); {
	case first < FixMap:
		r.b = r.b[1:]
		return first, nil
	case first == Uint8 && len(r.b) >= 2:
		v := r.b[1]
		r.b = r.b[2:]
		return v, nil
	case first == Uint8 || len(r.b) == 0:
		return 0, errShort
	}
	return 0, fmt.Errorf("0x%02x, want a byte", r.b[0])
}

// view reads a string and returns it as a part of the input.
func (r *Reader) view() ([]byte, error) {
	n, err := r.count(kindStr)
	if err != nil {
		return nil, err
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s, nil
}

func atMost(v, limit uint64) (uint64, error) {
	if v > limit {
		return 0, fmt.Errorf("%d, want at most %d", v, limit)
	}
	return v, nil
}
