package rpc

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"sallyport/internal/hostname"
	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// maxServers is how many gateways a guest connects to.
const maxServers = 64

// Answer is what a guest is to set up, checked: nothing in it can become another
// line of a configuration file.
type Answer struct {
	Address netip.Addr // the guest's own in the tunnel
	Servers []Node     // Key, Address and Endpoint; at least one
	Public  Public
}

func parseAnswer(in *gatewaypb.RegisterCvmResponse) (a Answer, err error) {
	if a.Address, err = parseAddr(in.GetWg().GetClientIp()); err != nil {
		return Answer{}, wrap("wg.client_ip", err)
	}
	servers := in.GetWg().GetServers()
	if len(servers) == 0 || len(servers) > maxServers {
		return Answer{}, fmt.Errorf("wg.servers has %d entries: want 1 to %d", len(servers), maxServers)
	}
	for i, s := range servers {
		n, err := parseServer(s)
		if err != nil {
			return Answer{}, fmt.Errorf("wg.servers[%d].%w", i, err)
		}
		a.Servers = append(a.Servers, n)
	}
	a.Public, err = parsePublic(in.GetAgent())
	return a, wrap("agent", err)
}

func parseServer(in *gatewaypb.WireGuardPeer) (n Node, err error) {
	if n.Key, err = vm.ParseWGKey(in.GetPk()); err != nil {
		return Node{}, wrap("pk", err)
	}
	if n.Address, err = parsePrefix(in.GetIp()); err != nil {
		return Node{}, wrap("ip", err)
	}
	if err := checkEndpoint(in.GetEndpoint()); err != nil {
		return Node{}, wrap("endpoint", err)
	}
	n.Endpoint = in.GetEndpoint()
	return n, nil
}

func parsePublic(in *gatewaypb.GuestAgentConfig) (Public, error) {
	for _, port := range []uint32{in.GetExternalPort(), in.GetInternalPort()} {
		if port > 65535 {
			return Public{}, fmt.Errorf("port %d: want 0 to 65535", port)
		}
	}
	for _, name := range []string{in.GetDomain(), in.GetAppAddressNsPrefix()} {
		if !hostname.ValidLoose(name) && name != "" {
			return Public{}, fmt.Errorf("%.100q is not a DNS name", name)
		}
	}
	return Public{
		Domain: in.GetDomain(), Port: uint16(in.GetExternalPort()),
		AgentPort: uint16(in.GetInternalPort()), TXTPrefix: in.GetAppAddressNsPrefix(),
	}, nil
}

// parseAddr reads an address that a host may have.
func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%.100q: want an IP address", s)
	}
	if a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() || a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%s: want the address of a host", a)
	}
	return a, nil
}

// parsePrefix reads an address with or, as old gateways write it, without the
// length of its network.
func parsePrefix(s string) (netip.Prefix, error) {
	host, length, ok := strings.Cut(s, "/")
	a, err := parseAddr(host)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !ok {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(a.String() + "/" + length)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%.100q: want an IP address, or one with a prefix", s)
	}
	return p, nil
}

func checkEndpoint(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%.100q: want host:port", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port %.20q: want 1 to 65535", port)
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		return nil
	}
	if !hostname.ValidLoose(host) {
		return errors.New("want an IP address or a host name before the port")
	}
	return nil
}
