package nameserver

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// fqdn is a domain name in its canonical form (RFC 4034, 6.2): lower case, with a dot at
// its end.
type fqdn string

const (
	maxName  = 253 // characters, without the dot at the end
	maxLabel = 63
)

// parseName reads a name of the configuration: labels of letters, digits, hyphens
// and underscores. It refuses the root and wildcards.
func parseName(s string) (fqdn, error) {
	host := strings.ToLower(strings.TrimSuffix(s, "."))
	for label := range strings.SplitSeq(host, ".") {
		if len(label) == 0 || len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", fmt.Errorf("name %q: want labels of 1 to 63 letters, digits, - or _", s)
		}
	}
	if len(host) > maxName {
		return "", fmt.Errorf("name %q: is longer than %d characters", s, maxName)
	}
	return fqdn(host + "."), nil
}

// parent returns n without its first label. n is a name that parseName returned: no
// label has an escaped dot.
func (n fqdn) parent() fqdn { return n[strings.IndexByte(string(n), '.')+1:] }

// within reports whether n is apex or below it.
func (n fqdn) within(apex fqdn) bool { return dns.IsSubDomain(string(apex), string(n)) }
