package nameserver

import (
	"fmt"
	"strings"
)

// wireName is a name as it stands in a message (RFC 1035, 3.1), in lower case: each
// label after a byte that is its length, and a zero.
type wireName string

const (
	maxWireName = 255
	maxLabel    = 63
)

// parseName reads a name of the configuration: labels of letters, digits, hyphens
// and underscores. The root, and wildcards, are none.
func parseName(s string) (wireName, error) {
	host := strings.ToLower(strings.TrimSuffix(s, "."))
	wire := make([]byte, 0, len(host)+2)
	for label := range strings.SplitSeq(host, ".") {
		if len(label) == 0 || len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("name %q: want labels of 1 to 63 letters, digits, - or _", s)
		}
		wire = append(append(wire, byte(len(label))), label...)
	}
	if wire = append(wire, 0); len(wire) > maxWireName {
		return "", fmt.Errorf("name %q: is longer than 253 characters", s)
	}
	return wireName(wire), nil
}

// String is the name in text, with a dot at its end. Those of parseName need no
// escapes.
func (n wireName) String() string {
	var s strings.Builder
	for n != "\x00" {
		s.WriteString(string(n[1 : 1+n[0]]))
		s.WriteByte('.')
		n = n.parent()
	}
	return s.String()
}

// parent is the name without its first label; of the root there is none.
func (n wireName) parent() wireName { return n[1+n[0]:] }

// within reports whether n is apex or below it.
func (n wireName) within(apex wireName) bool {
	for len(n) > len(apex) {
		n = n.parent()
	}
	return n == apex
}
