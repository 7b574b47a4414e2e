package customdomain

import (
	"net/netip"

	"sallyport/internal/dnsquery"
)

// SystemResolvers reads the nameservers of a file such as /etc/resolv.conf. It is
// an error if there is none.
func SystemResolvers(file string) ([]netip.AddrPort, error) {
	r, err := dnsquery.System(file)
	return r.Servers, err
}
