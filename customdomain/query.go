package customdomain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// tryTimeout is for one resolver to answer one query, so that the next one and a
// second packet have their chance within a lookup.
const tryTimeout = 1500 * time.Millisecond

var errNobody = errors.New("there is no resolver")

// query asks the resolvers in their order until one knows the TXT records of name,
// or knows that there are none. Resolvers that did not answer are asked a second
// time: a datagram may get lost.
func (r *Resolver) query(ctx context.Context, name string) (texts []string, ttl time.Duration, err error) {
	failure := errNobody
	servers := r.servers
	for range 2 {
		var silent []netip.AddrPort
		for _, s := range servers {
			texts, ttl, err = r.try(ctx, s, name)
			switch {
			case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrBroken):
				return texts, ttl, err
			case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
				silent = append(silent, s)
			}
			failure = fmt.Errorf("resolver %s: %w", s, err)
			if ctx.Err() != nil {
				return nil, 0, fmt.Errorf("%w: %w", ErrTemporary, failure)
			}
		}
		servers = silent
	}
	return nil, 0, fmt.Errorf("%w: %w", ErrTemporary, failure)
}

// try asks one resolver: by UDP, and by TCP if the answer is too large for UDP. What got lost
// is not asked for by TCP, but of the next one: see query.
func (r *Resolver) try(ctx context.Context, server netip.AddrPort, name string) ([]string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	q := dnsquery.NewQuery(name, dns.TypeTXT)
	m, err := r.exchange(ctx, "udp", server, q)
	if err == nil && m.Truncated {
		m, err = r.exchange(ctx, "tcp", server, q)
	}
	if err != nil {
		return nil, 0, err
	}
	return readAnswer(name, m)
}
