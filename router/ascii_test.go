package router

import (
	"bytes"
	"testing"

	"sallyport/internal/vm"
)

// Each byte at each place of names of each length, against the alphabet of package vm.
func TestEveryByteIsJudgedAlikeAnywhere(t *testing.T) {
	for n := 1; n <= vm.MaxLabel+1; n++ {
		for at := range n {
			for c := range 256 {
				s := bytes.Repeat([]byte("a"), n)
				s[at] = byte(c)
				upper := 'A' <= c && c <= 'Z'
				_, label := vm.ParseLabel(s)
				if got := isID(s); got != (label && !upper) {
					t.Fatalf("isID(%q) = %v", s, got)
				}
				if got := hasUpper(s); got != upper {
					t.Fatalf("hasUpper(%q) = %v", s, got)
				}
			}
		}
	}
}
