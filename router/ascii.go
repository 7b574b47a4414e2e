package router

import (
	"encoding/binary"

	"sallyport/internal/vm"
)

// Eight bytes at a time: measured, the id's check takes 12 ns instead of 26 and that for
// upper case 11 instead of 37, of 110 to 250 for a whole decision.

const (
	ones = 0x0101010101010101
	tops = ones << 7
)

// within sets the top bit of each byte of v that is from low to high, which are
// ASCII. No sum carries into the next byte: both sides are at most 0x7f.
func within(v uint64, low, high byte) uint64 {
	ascii := v &^ tops
	return (ascii + ones*uint64(0x80-low)) &^ (ascii + ones*uint64(0x7f-high)) &^ v & tops
}

// isID reports whether s is 1 to 63 digits and lower-case letters.
func isID(s []byte) bool {
	if len(s) == 0 || len(s) > vm.MaxLabel {
		return false
	}
	for ; len(s) >= 8; s = s[8:] {
		if v := binary.LittleEndian.Uint64(s); within(v, '0', '9')|within(v, 'a', 'z') != tops {
			return false
		}
	}
	for _, c := range s {
		if (c < '0' || '9' < c) && (c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}

// hasUpper reports whether there is an upper-case letter in s.
func hasUpper(s []byte) bool {
	for ; len(s) >= 8; s = s[8:] {
		if within(binary.LittleEndian.Uint64(s), 'A', 'Z') != 0 {
			return true
		}
	}
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			return true
		}
	}
	return false
}
