package customdomain

import (
	"strconv"

	"sallyport/internal/hostname"
)

// maxName is the longest DNS name in text, without the dot at its end.
const maxName = hostname.MaxLength

// isHost reports whether a custom domain may have this name, which is in the form of
// hello.Hello.ServerName: a host name, perhaps with underscores, of two or more labels, of
// which the last does not begin with a digit, as no top-level domain does and all IPv4
// addresses do.
func isHost[T string | []byte](name T) bool {
	last := len(name)
	for last > 0 && name[last-1] != '.' {
		last--
	}
	return last > 0 && hostname.ValidLoose(name) && !isDigit(name[last])
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
