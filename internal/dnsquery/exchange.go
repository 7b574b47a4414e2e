package dnsquery

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// tryTimeout bounds one question to one server, by UDP and then TCP.
const tryTimeout = 3 * time.Second

// Exchange asks server for the records of name and type: by UDP, and by TCP if the answer is
// too large for UDP or gets lost. recursive asks the server to find the answer elsewhere if
// need be. Exchange takes 3 seconds at most. The answer may have any code. It matches the
// question and has up to 64 KiB.
func Exchange(ctx context.Context, server netip.AddrPort, name string, qtype uint16, recursive bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	q := NewQuery(name, qtype)
	q.RecursionDesired = recursive
	m, err := firstDatagram(ctx, server, q)
	if err == nil && !m.Truncated {
		return m, nil
	}
	m, tcpErr := ExchangeTCP(ctx, server, q, dns.MaxMsgSize)
	switch {
	case tcpErr == nil:
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("server %s: %w, %w", server, err, tcpErr)
	}
	return nil, fmt.Errorf("server %s: %w", server, tcpErr)
}

// firstDatagram asks by UDP. It leaves half of the time to TCP.
func firstDatagram(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout/2)
	defer cancel()
	return ExchangeUDP(ctx, server, q)
}
