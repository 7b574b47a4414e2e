package vm

import "errors"

// MaxLabel is the longest DNS label in bytes (RFC 1035, 2.3.4).
const MaxLabel = 63

var errLabel = errors.New("want 1 to 63 of a-z, 0-9 (upper case is folded)")

// Label is the text of an AppID or an InstanceID as a value of fixed size: 64
// bytes, one cache line, without a pointer, so that comparing it with a server name
// reads no other memory. It is comparable; the zero Label is none.
type Label struct {
	n uint8
	b [MaxLabel]byte
}

// ParseLabel folds s to lower case and checks its alphabet and length. It reports
// false, and no Label, if s is not 1 to 63 ASCII letters and digits.
func ParseLabel[T string | []byte](s T) (l Label, ok bool) {
	if len(s) == 0 || len(s) > MaxLabel {
		return Label{}, false
	}
	for i := range len(s) {
		c := folded[s[i]]
		if c == 0 {
			return Label{}, false
		}
		l.b[i] = c
	}
	l.n = uint8(len(s))
	return l, true
}

// Bytes is the text, valid as long as l. It is to be read only.
func (l *Label) Bytes() []byte { return l.b[:l.n] }

// String is the text.
func (l Label) String() string { return string(l.b[:l.n]) }

// folded holds the lower case of each byte of the alphabet, and 0 for the others:
// '-' too, because it ends the id in a server name.
var folded = func() (t [256]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	return t
}()
