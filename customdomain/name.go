package customdomain

import "strconv"

// The longest DNS name in text, without the dot at its end, and the longest label
// (RFC 1035, 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// fold writes a server name to buf in the one form in which it is asked for and
// remembered: lower case, no dot at its end. It reports false unless the name has
// two or more labels of letters, digits, underscores and inner hyphens (RFC 1123,
// 2.1, has no underscore, but owners and clients use it), of which the last does not
// begin with a digit, as no top-level domain does and all IPv4 addresses do.
func fold[T string | []byte](buf *[maxName]byte, name T) (host []byte, ok bool) {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if len(name) > maxName {
		return nil, false
	}
	start := 0 // of the present label
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
		switch {
		case c == '.':
			if !isLabel(buf[start:i]) {
				return nil, false
			}
			start = i + 1
		case c != '-' && c != '_' && !isLetter(c) && !isDigit(c):
			return nil, false
		}
	}
	last := buf[start:len(name)]
	return buf[:len(name)], start > 0 && isLabel(last) && !isDigit(last[0])
}

// isLabel judges what fold has not: the length and where hyphens are.
func isLabel(label []byte) bool {
	n := len(label)
	return n > 0 && n <= maxLabel && label[0] != '-' && label[n-1] != '-'
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// maxShown bounds the bytes of a stranger's text that an error repeats.
const maxShown = 64

// show quotes s for an error, so that no control character reaches a terminal.
func show(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}
