package attestation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// The part of SCALE (docs.substrate.io, "Type encoding"; parity-scale-codec)
// that attestations use: integers in little-endian order, and byte strings, texts
// and vectors behind a compact length. Compact is a number whose low two bits say
// how it goes on:
//
//	0: 6 bits in this byte   1: 14 bits in 2 bytes   2: 30 bits in 4 bytes
//	3: the other bits + 4 bytes follow; only the form with 4 is read: more is
//	   beyond any input
//
// Only the shortest form is accepted, as in the reference codec.

// A scaleReader reads values from the front of b. Each method moves b behind what it read.
// After an error the position is undefined. Byte strings are parts of b.
type scaleReader struct{ b []byte }

func (r *scaleReader) take(n int) ([]byte, error) {
	if n > len(r.b) {
		return nil, errShort
	}
	if n == 0 {
		return nil, nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out, nil
}

func (r *scaleReader) octet() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (r *scaleReader) uint32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b), nil
}

// compact reads a number.
func (r *scaleReader) compact() (uint32, error) {
	if len(r.b) == 0 {
		return 0, errShort
	}
	first := r.b[0]
	mode := first & 3
	if mode == 3 && first != 3 {
		return 0, errors.New("length above 2^32")
	}
	width := [...]int{1, 2, 4, 5}[mode]
	in, err := r.take(width)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], in)
	v := binary.LittleEndian.Uint64(wide[:])
	var least uint64
	if mode == 3 {
		v >>= 8
		least = 1 << 30
	} else {
		v >>= 2
		least = [...]uint64{0, 1 << 6, 1 << 14}[mode]
	}
	if v < least {
		return 0, errors.New("length is not in its shortest form")
	}
	return uint32(v), nil
}

// bytes reads at most limit bytes.
func (r *scaleReader) bytes(limit int) ([]byte, error) {
	n, err := r.compact()
	switch {
	case err != nil:
		return nil, err
	case uint64(n) > uint64(len(r.b)):
		return nil, errShort
	case int(n) > limit:
		return nil, tooLong(int(n), limit)
	}
	return r.take(int(n))
}

// text reads at most limit bytes of UTF-8.
func (r *scaleReader) text(limit int) (string, error) {
	b, err := r.bytes(limit)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errors.New("not UTF-8")
	}
	return string(b), nil
}

// scaleVec reads a vector of at most limit items, in two passes: it allocates memory for n
// items only after it has seen n items.
func scaleVec[T any](r *scaleReader, limit int, item func(*scaleReader) (T, error)) ([]T, error) {
	n, err := r.compact()
	if err != nil {
		return nil, err
	}
	if int64(n) > int64(limit) {
		return nil, fmt.Errorf("%d items, want at most %d", n, limit)
	}
	ahead := *r
	for i := range n {
		if _, err := item(&ahead); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
	}
	if n == 0 {
		return nil, nil
	}
	out := make([]T, n)
	for i := range out {
		if out[i], err = item(r); err != nil {
			return nil, fmt.Errorf("%d: %w", i, err)
		}
	}
	return out, nil
}

// appendCompact appends v, below 2^32, in its shortest form.
func appendCompact(to []byte, v int) []byte {
	switch {
	case v < 1<<6:
		return append(to, byte(v)<<2)
	case v < 1<<14:
		return binary.LittleEndian.AppendUint16(to, uint16(v)<<2|1)
	case v < 1<<30:
		return binary.LittleEndian.AppendUint32(to, uint32(v)<<2|2)
	}
	return binary.LittleEndian.AppendUint32(append(to, 3), uint32(v))
}

func appendScale[T ~string | ~[]byte](to []byte, s T) []byte {
	to = slices.Grow(appendCompact(to, len(s)), len(s))
	return append(to, s...)
}
