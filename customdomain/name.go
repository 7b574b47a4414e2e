package customdomain

import (
	"bytes"
	"strconv"

	"sallyport/internal/hostname"
)

// maxName is the longest DNS name in text, without the dot at its end.
const maxName = hostname.MaxLength

// fold writes a server name to buf in the one form in which it is asked for and
// remembered: lower case, no dot at its end. It reports false unless the name is a host
// name, perhaps with underscores, of two or more labels, of which the last does not
// begin with a digit, as no top-level domain does and all IPv4 addresses do.
func fold[T string | []byte](buf *[maxName]byte, name T) (host []byte, ok bool) {
	if n := len(name); n > 0 && name[n-1] == '.' {
		name = name[:n-1]
	}
	if len(name) > maxName {
		return nil, false
	}
	host = buf[:len(name)]
	for i := range len(name) {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		host[i] = c
	}
	dot := bytes.LastIndexByte(host, '.')
	if dot < 0 || !hostname.ValidLoose(host) {
		return nil, false
	}
	return host, !isDigit(host[dot+1])
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// maxShown bounds the bytes of a stranger's text that an error repeats.
const maxShown = 64

// show quotes s for an error, so that no control character reaches a terminal.
func show(s string) string {
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "…"
	}
	return strconv.Quote(s)
}
