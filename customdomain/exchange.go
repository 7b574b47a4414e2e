package customdomain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// An exchangeFunc sends a query to a server by "udp" or "tcp" and returns the answer
// to it.
type exchangeFunc func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)

var _ exchangeFunc = exchange

// maxAnswer bounds an answer by TCP, in bytes. A record has up to 69, and eight
// aliases in front of it up to 2,200.
const maxAnswer = 4096

var errLarge = fmt.Errorf("%w: the answer has more than %d bytes", ErrBroken, maxAnswer)

// exchange is the exchangeFunc of the network.
func exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	if network == "udp" {
		return dnsquery.ExchangeUDP(ctx, server, q)
	}
	m, err := dnsquery.ExchangeTCP(ctx, server, q, maxAnswer)
	if errors.Is(err, dnsquery.ErrLarge) {
		return nil, errLarge
	}
	return m, err
}
