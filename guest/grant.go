package guest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"sallyport/internal/vm"
)

// Grant is what a gateway answers: the VM's address, and the gateways that it
// may be called through.
type Grant struct {
	Address netip.Addr
	Servers []Server // sorted by key
}

// Server is one gateway's end of the tunnel.
type Server struct {
	Key      vm.WGKey
	Address  netip.Prefix // its address, with the tunnel network
	Endpoint string       // host:port; the host may be a name
}

// maxServers bounds a gateway's answer.
const maxServers = 64

// NewGrant checks an answer. A VM trusts its gateway with its traffic, not with
// its routes: a server is one address, in one tunnel network, and not the VM's own.
func NewGrant(address netip.Addr, servers []Server) (Grant, error) {
	if !address.Is4() || !address.IsPrivate() && !sharedSpace.Contains(address) {
		return Grant{}, fmt.Errorf("the gateway grants %v: want a private IPv4 address", address)
	}
	if len(servers) == 0 || len(servers) > maxServers {
		return Grant{}, fmt.Errorf("the gateway names %d servers: want 1 to %d", len(servers), maxServers)
	}
	g := Grant{Address: address, Servers: slices.Clone(servers)}
	slices.SortFunc(g.Servers, func(a, b Server) int { return slices.Compare(a.Key[:], b.Key[:]) })
	for i, s := range g.Servers {
		if err := s.check(address); err != nil {
			return Grant{}, fmt.Errorf("server %v: %w", s.Key, err)
		}
		if i > 0 && s.Key == g.Servers[i-1].Key {
			return Grant{}, fmt.Errorf("server %v: named twice", s.Key)
		}
	}
	return g, nil
}

// sharedSpace is RFC 6598: as private as RFC 1918 for a tunnel.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func (s Server) check(own netip.Addr) error {
	switch {
	case s.Key.IsZero():
		return errors.New("no key")
	case !s.Address.IsValid() || !s.Address.Addr().Is4():
		return fmt.Errorf("address %v: want an IPv4 address", s.Address)
	case s.Address.Addr() == own:
		return fmt.Errorf("address %v is this machine's own", own)
	case s.Address.Bits() < 32 && !s.Address.Contains(own):
		return fmt.Errorf("network %v does not hold this machine's address %v", s.Address.Masked(), own)
	}
	host, port, err := net.SplitHostPort(s.Endpoint)
	if err != nil || host == "" {
		return fmt.Errorf("endpoint %q: want host:port", s.Endpoint)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("endpoint %q: want a port from 1 to 65535", s.Endpoint)
	}
	return nil
}

func (g Grant) equal(o Grant) bool {
	return g.Address == o.Address && slices.Equal(g.Servers, o.Servers)
}
