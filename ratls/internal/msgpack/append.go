package msgpack

import "encoding/binary"

// The functions below append a value in its shortest form. A count or length is
// below 2^32.

// AppendNil appends nil.
func AppendNil(to []byte) []byte { return append(to, Nil) }

// AppendBin appends b as a byte string.
func AppendBin(to, b []byte) []byte {
	switch n := len(b); {
	case n < 1<<8:
		to = append(to, Bin8, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, Bin16), uint16(n))
	default:
		to = binary.BigEndian.AppendUint32(append(to, Bin32), uint32(n))
	}
	return append(to, b...)
}

// AppendInts appends b as serde writes a Vec<u8>: as an array of integers.
func AppendInts(to, b []byte) []byte {
	to = AppendArray(to, len(b))
	for _, v := range b {
		if v >= FixMap {
			to = append(to, Uint8)
		}
		to = append(to, v)
	}
	return to
}

// AppendText appends s, which is UTF-8, as a text string.
func AppendText(to []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		to = append(to, FixStr|byte(n))
	case n < 1<<8:
		to = append(to, Str8, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, Str16), uint16(n))
	default:
		to = binary.BigEndian.AppendUint32(append(to, Str32), uint32(n))
	}
	return append(to, s...)
}

// AppendUint appends an integer.
func AppendUint(to []byte, v uint32) []byte {
	switch {
	case v < FixMap:
		return append(to, byte(v))
	case v < 1<<8:
		return append(to, Uint8, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, Uint16), uint16(v))
	}
	return binary.BigEndian.AppendUint32(append(to, Uint32), v)
}

// AppendArray appends the head of an array; n values must follow.
func AppendArray(to []byte, n int) []byte { return appendHead(to, n, FixArray, Array16) }

// AppendMap appends the head of a map; n pairs must follow.
func AppendMap(to []byte, n int) []byte { return appendHead(to, n, FixMap, Map16) }

func appendHead(to []byte, n int, fix, long byte) []byte {
	switch {
	case n < 16:
		return append(to, fix|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, long), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(to, long+1), uint32(n))
}
