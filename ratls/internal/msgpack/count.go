package msgpack

import (
	"encoding/binary"
	"fmt"
)

// A kind is a family of values with a count: a short form with the count in its first byte,
// and long forms with the count behind it.
type kind struct {
	what     string
	fix      byte // first byte of the short form, less the count
	fixBits  byte // the bits of the count in it
	first    byte // first byte of the shortest long form
	width    int  // of the count that follows it; the next form has twice as many
	forms    byte
	itemSize int // least bytes of one item
}

var (
	kindStr   = kind{"a string", FixStr, 0x1f, Str8, 1, 3, 1}
	kindArray = kind{"an array", FixArray, 0x0f, Array16, 2, 2, 1}
	kindMap   = kind{"a map", FixMap, 0x0f, Map16, 2, 2, 2}
)

// count reads a head of kind k and returns the number of items that follow. They may be
// incomplete, but there is at least a byte for each.
func (r *Reader) count(k kind) (int, error) {
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
	return 0, fmt.Errorf("0x%02x, want %s", r.b[0], k.what)
}

// size reads a big-endian count of width bytes behind the first byte. It checks that the rest
// of the input is long enough for so many items of itemSize bytes.
func (r *Reader) size(width, itemSize int) (int, error) {
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
