package nameserver

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"sallyport/internal/hostname"
)

// fqdn is a domain name in its canonical form (RFC 4034, 6.2): lower case, with a dot at
// its end.
type fqdn string

// parseName reads a name of the configuration: labels of letters, digits, underscores
// and inner hyphens. It refuses the root and wildcards.
func parseName(s string) (fqdn, error) {
	host := strings.ToLower(strings.TrimSuffix(s, "."))
	switch {
	case len(host) > hostname.MaxLength:
		return "", fmt.Errorf("name %q: is longer than %d characters", s, hostname.MaxLength)
	case !hostname.ValidLoose(host):
		return "", fmt.Errorf("name %q: want labels of 1 to %d letters, digits, _ and inner -", s, hostname.MaxLabel)
	}
	return fqdn(host + "."), nil
}

// parent returns n without its first label. n is a name that parseName returned: no
// label has an escaped dot.
func (n fqdn) parent() fqdn { return n[strings.IndexByte(string(n), '.')+1:] }

// within reports whether n is apex or below it.
func (n fqdn) within(apex fqdn) bool { return dns.IsSubDomain(string(apex), string(n)) }
