package customdomain

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// maxSystem is how many nameservers of a resolv.conf count, as in glibc.
const maxSystem = 3

// SystemResolvers reads the nameservers of a file such as /etc/resolv.conf. It is
// an error if there is none.
func SystemResolvers(file string) ([]netip.AddrPort, error) {
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("resolvers: %w", err)
	}
	var list []netip.AddrPort
	for _, s := range c.Servers {
		a, err := netip.ParseAddrPort(net.JoinHostPort(s, c.Port))
		if err != nil {
			return nil, fmt.Errorf("resolvers: %s: nameserver: %w", file, err)
		}
		list = append(list, a)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("resolvers: %s names no nameserver: give the resolvers to ask", file)
	}
	return list[:min(len(list), maxSystem)], nil
}
