package tdx

import (
	"encoding/binary"
	"fmt"
)

// A reader reads the fields of a quote. Numbers are little endian. It keeps its first error
// and then returns zeros, so that a format is a list of fields with one check at the end.
type reader struct {
	rest []byte
	at   int // offset of rest in the quote
	err  error
}

// failf sets the error of the field at an offset.
func (r *reader) failf(at int, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("quote: byte %d: %s", at, fmt.Sprintf(format, args...))
	}
}

// bytes returns the next n bytes as a part of the quote, nil if there are fewer.
func (r *reader) bytes(n int, field string) []byte {
	if n > len(r.rest) {
		r.failf(r.at, "%s: needs %d bytes, %d are left", field, n, len(r.rest))
	}
	if r.err != nil {
		return nil
	}
	b := r.rest[:n]
	r.rest, r.at = r.rest[n:], r.at+n
	return b
}

func (r *reader) into(dst []byte, field string) { copy(dst, r.bytes(len(dst), field)) }

func (r *reader) uint16(field string) uint16 {
	var b [2]byte
	r.into(b[:], field)
	return binary.LittleEndian.Uint16(b[:])
}

func (r *reader) uint32(field string) uint32 {
	var b [4]byte
	r.into(b[:], field)
	return binary.LittleEndian.Uint32(b[:])
}

func (r *reader) uint64(field string) uint64 {
	var b [8]byte
	r.into(b[:], field)
	return binary.LittleEndian.Uint64(b[:])
}

// length reads the length of a field that must reach to the end.
func (r *reader) length(field string) {
	at := r.at
	if n := r.uint32(field); uint64(n) != uint64(len(r.rest)) {
		r.failf(at, "%s: has %d bytes, want all the %d that are left", field, n, len(r.rest))
	}
}
