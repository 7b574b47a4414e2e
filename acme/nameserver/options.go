package nameserver

import (
	"log/slog"
	"net/netip"
	"time"
)

// Options of a Server.
type Options struct {
	// Listen are the addresses to answer at, each by UDP and TCP. Port 0 is one that
	// is free, for tests.
	Listen []netip.AddrPort

	// Zones are answered for from the start. SetZones changes them.
	Zones []Zone

	// ExcessPerSource is how many bytes a second an IPv4 /24 or IPv6 /56 may be sent
	// by UDP beyond the size of its queries, whose sender may be forged. Above that
	// it is told to come by TCP. 0 is 64 KiB, below 0 is no limit.
	ExcessPerSource int

	// MaxConnections bounds the TCP connections; 0 is 256. Half of them are for sources
	// that were just told to come by TCP. One source (as above) has an eighth of them.
	MaxConnections int

	// Log gets what an operator can mend, never a line per query. Default
	// slog.Default().
	Log *slog.Logger
}

// Zone is a domain that the parent delegates to this server.
type Zone struct {
	// Name is "gw.example.com", or "_acme-challenge.example.com".
	Name string

	// NS are the servers of the zone, as the parent names them: 1 to 13.
	NS []NameServer

	// Addresses are those of every name in the zone, the zone's own too, at any
	// depth. Without them only names with records of their own exist.
	Addresses []netip.Addr

	// CAA are the zone's own. A certificate authority that asks for a name below
	// climbs up to them (RFC 8659, 3).
	CAA []CAA

	// Contact is the mailbox of who is responsible; "" is hostmaster@Name.
	Contact string

	// TTL is how long resolvers keep an answer; 0 is 5 minutes. NegativeTTL is how
	// long they remember that there is none; 0 is 30 seconds. Up to a day.
	TTL, NegativeTTL time.Duration
}

// NameServer is a server of a zone.
type NameServer struct {
	Name string
	// Addresses are told with Name where it is in the zone (glue). Without any there
	// it has those of the zone.
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
