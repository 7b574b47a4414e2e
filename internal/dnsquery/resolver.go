package dnsquery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"
)

// Resolver asks recursive resolvers. Its methods may be called concurrently.
type Resolver struct {
	// Servers are asked in this order, until one has an answer.
	Servers []netip.AddrPort
}

// maxSystem is the number of nameservers of a resolv.conf that count, as in glibc.
const maxSystem = 3

// System returns a Resolver with the nameservers of a file such as /etc/resolv.conf. It
// returns an error if there are none, or if one is not an address.
func System(file string) (Resolver, error) {
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return Resolver{}, fmt.Errorf("resolvers: %w", err)
	}
	var r Resolver
	for _, s := range c.Servers {
		a, err := netip.ParseAddrPort(net.JoinHostPort(s, c.Port))
		if err != nil {
			return Resolver{}, fmt.Errorf("resolvers: %s: nameserver: %w", file, err)
		}
		r.Servers = append(r.Servers, a)
	}
	if len(r.Servers) == 0 {
		return Resolver{}, fmt.Errorf("resolvers: %s has no nameserver: configure the resolvers to ask", file)
	}
	r.Servers = r.Servers[:min(len(r.Servers), maxSystem)]
	return r, nil
}

var errNobody = errors.New("there is no resolver to ask")

// Lookup asks for the records of name and type. The answer says which there are, or that
// there are none. Everything else is an error, and temporary. Silent servers are asked a
// second time, because a datagram may get lost.
func (r Resolver) Lookup(ctx context.Context, name string, qtype uint16) (*dns.Msg, error) {
	failure := errNobody
	servers := r.Servers
	for range 2 {
		var silent []netip.AddrPort
		for _, s := range servers {
			m, err := Exchange(ctx, s, name, qtype, true)
			if err == nil {
				if err = Code(m); err == nil {
					return m, nil
				}
				err = fmt.Errorf("server %s: %w", s, err)
			}
			failure = err
			if ctx.Err() != nil {
				break
			}
			if isTimeout(err) {
				silent = append(silent, s)
			}
		}
		servers = silent
	}
	return nil, fmt.Errorf("look up %s %s: %w", name, dns.TypeToString[qtype], failure)
}

func isTimeout(err error) bool {
	var ne net.Error // the context's error is one too
	return errors.As(err, &ne) && ne.Timeout()
}
