package nameserver

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options of a Server.
type Options struct {
	// Listen are the addresses to answer at, each by UDP and TCP. For port 0 the server
	// chooses a free one.
	Listen []netip.AddrPort

	// Zones are the zones at the start. SetZones changes them.
	Zones []Zone

	// ExcessPerSource limits the answers by UDP to an IPv4 /24 or IPv6 /56, in bytes a
	// second beyond the size of its queries, whose sender may be forged. Above the limit
	// answers are truncated, and the client asks again by TCP. 0 is 64 KiB, a negative
	// number is no limit.
	ExcessPerSource int

	// MaxConnections bounds the TCP connections; 0 is 256. Half of them are for sources
	// whose answers by UDP were just truncated for that limit. One source (as above) has
	// an eighth of them.
	MaxConnections int

	// Log gets problems that an operator can solve, never a line for each query. nil is
	// slog.Default().
	Log *slog.Logger
}

// Zone is a domain that the parent delegates to this server.
type Zone struct {
	// Name is "gw.example.com", or "_acme-challenge.example.com".
	Name string

	// NS are the servers of the zone, as the parent names them: 1 to 13.
	NS []NameServer

	// Addresses are the addresses of every name in the zone, at any depth, and of the
	// zone's own name. Without them only names with records of their own exist.
	Addresses []netip.Addr

	// CAA are the CAA records at the zone's own name. A certificate authority that asks
	// for a name below climbs up to them (RFC 8659, 3).
	CAA []CAA

	// Contact is the mailbox of the person responsible; "" is hostmaster@Name.
	Contact string

	// TTL is how long resolvers keep an answer; 0 is 5 minutes. NegativeTTL is how
	// long they remember that there is none; 0 is 30 seconds. Up to a day.
	TTL, NegativeTTL time.Duration
}

// NameServer is a server of a zone.
type NameServer struct {
	Name string
	// Addresses are the addresses of Name, if Name is in the zone (glue). Without any it
	// has those of the zone.
	Addresses []netip.Addr
}

// CAA is a record that says who may issue certificates (RFC 8659).
type CAA struct {
	Critical bool
	Tag      string // "issue", "issuewild", …
	Value    string // "letsencrypt.org; validationmethods=dns-01"
}

func (o Options) withDefaults() Options {
	if o.ExcessPerSource == 0 {
		o.ExcessPerSource = 64 << 10
	}
	if o.MaxConnections <= 0 {
		o.MaxConnections = 256
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o
}
