package proxyproto

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
)

// Type says what a TLV holds (section 2.2).
type Type uint8

// The registered types. From 0xE0 to 0xEF they are the application's own.
const (
	TypeALPN      Type = 0x01 // the protocol that was negotiated
	TypeAuthority Type = 0x02 // the server name as the client sent it
	TypeCRC32C    Type = 0x03 // checksum of the whole header
	TypeNoop      Type = 0x04 // padding
	TypeUniqueID  Type = 0x05 // opaque
	TypeSSL       Type = 0x20 // what was terminated; has TLVs of its own
	TypeNetNS     Type = 0x30 // name of a network namespace

	TypeSSLVersion Type = 0x21 // these four inside TypeSSL
	TypeSSLCN      Type = 0x22
	TypeSSLCipher  Type = 0x23
	TypeSSLSigAlg  Type = 0x24
)

const (
	headerTLV  = 3
	lengthCRC  = 4
	maxTLVs    = MaxSize - headerV2 - lengthTCP6
	noChecksum = -1
)

var errChecksumTLV = fmt.Errorf("%w: want at most one CRC32C, of 4 bytes", ErrMalformed)

// TLVs is a list of type-length-value extensions. The zero value is empty.
type TLVs struct {
	raw []byte // well formed: both check and Add see to it
}

// All yields the extensions in order, padding and checksum included. The
// values are views.
func (t TLVs) All() iter.Seq2[Type, []byte] {
	return func(yield func(Type, []byte) bool) {
		for raw := t.raw; len(raw) > 0; {
			end := headerTLV + int(binary.BigEndian.Uint16(raw[1:]))
			if !yield(Type(raw[0]), raw[headerTLV:end:end]) {
				return
			}
			raw = raw[end:]
		}
	}
}

// Get returns the value of the first extension of a type.
func (t TLVs) Get(kind Type) (value []byte, ok bool) {
	for k, v := range t.All() {
		if k == kind {
			return v, true
		}
	}
	return nil, false
}

// Add appends an extension to the list, never to the bytes that a parsed list
// is a view on. It adds nothing and returns ErrTooLarge if a header with the
// list would be over [MaxSize], ErrMalformed for a checksum that is the second
// or not 4 bytes; of those only the room counts, [AppendV2] fills it.
func (t *TLVs) Add(kind Type, value []byte) error {
	if _, again := t.Get(TypeCRC32C); kind == TypeCRC32C && (again || len(value) != lengthCRC) {
		return errChecksumTLV
	}
	if len(t.raw)+headerTLV+len(value) > maxTLVs {
		return ErrTooLarge
	}
	raw := append(t.raw, byte(kind), byte(len(value)>>8), byte(len(value)))
	t.raw = append(raw, value...)
	return nil
}

// check walks the list, which is the end of header, and verifies the checksum
// if there is one. A second one could not be right: each counts as zero only
// for itself.
func (t TLVs) check(header []byte) error {
	checksum := noChecksum
	for at := len(header) - len(t.raw); at < len(header); {
		rest := header[at:]
		if len(rest) < headerTLV || len(rest)-headerTLV < int(binary.BigEndian.Uint16(rest[1:])) {
			return fmt.Errorf("%w: TLV overruns the header", ErrMalformed)
		}
		length := int(binary.BigEndian.Uint16(rest[1:]))
		switch kind := Type(rest[0]); {
		case kind == TypeCRC32C && (length != lengthCRC || checksum != noChecksum):
			return errChecksumTLV
		case kind == TypeCRC32C:
			checksum = at + headerTLV
		}
		at += headerTLV + length
	}
	if checksum != noChecksum && binary.BigEndian.Uint32(header[checksum:]) != crc32c(header, checksum) {
		return fmt.Errorf("%w: CRC32C does not match", ErrMalformed)
	}
	return nil
}

// fillChecksum writes the CRC32C of header, which ends with the list, if the
// list has room for one.
func (t TLVs) fillChecksum(header []byte) {
	at := len(header) - len(t.raw)
	for kind, value := range t.All() {
		if kind == TypeCRC32C {
			at += headerTLV
			binary.BigEndian.PutUint32(header[at:], crc32c(header, at))
			return
		}
		at += headerTLV + len(value)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c sums header with the checksum at an offset taken as zero. Those zeros
// go through the table here: a slice of them would be an allocation a header.
func crc32c(header []byte, at int) uint32 {
	sum := ^crc32.Checksum(header[:at], castagnoli)
	for range lengthCRC {
		sum = castagnoli[byte(sum)] ^ sum>>8
	}
	return crc32.Update(^sum, castagnoli, header[at+lengthCRC:])
}
