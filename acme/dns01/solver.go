package dns01

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"sallyport/internal/dnsquery"

	"github.com/libdns/libdns"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// A Provider changes the records of zones. Zones have a dot at their end, names are
// relative to their zone. Both methods may be called concurrently, must end with
// their context, and must take a record that is there already, or is gone already,
// for success: a challenge is presented again after a crash.
type Provider interface {
	libdns.RecordAppender
	libdns.RecordDeleter
}

// Options configure a Solver. Only Provider is required.
type Options struct {
	Provider Provider

	// Resolvers are recursive resolvers; empty means those of /etc/resolv.conf.
	Resolvers []netip.AddrPort

	// Nameservers are asked whether they have the record, instead of those in the
	// zone's NS records: where these are not reached from here, or are not what the
	// authority sees. Recursive ones will do, if they cache no absence for long.
	Nameservers []netip.AddrPort

	// Timeout is for all nameservers to have the record; 0 is 5 minutes. It is the
	// provider's: some need seconds, some minutes.
	Timeout time.Duration

	// Interval is between two rounds of asking; 0 is 2 seconds.
	Interval time.Duration

	// TTL of the record; 0 is 1 minute.
	TTL time.Duration
}

// Solver solves dns-01 challenges. Its methods may be called concurrently.
type Solver struct {
	opts     Options
	resolver dnsquery.Resolver
	port     uint16 // of nameservers: 53
	places   places
}

var (
	_ acmez.Solver = (*Solver)(nil)
	_ acmez.Waiter = (*Solver)(nil)
)

// resolvConf names the system's resolvers.
const resolvConf = "/etc/resolv.conf"

// New makes a Solver. It fails without a provider, and without resolvers.
func New(o Options) (*Solver, error) {
	if o.Provider == nil {
		return nil, errors.New("dns-01: no DNS provider is configured")
	}
	r := dnsquery.Resolver{Servers: o.Resolvers}
	if len(r.Servers) == 0 {
		var err error
		if r, err = dnsquery.System(resolvConf); err != nil {
			return nil, fmt.Errorf("dns-01: %w", err)
		}
	}
	o.Timeout = cmp.Or(o.Timeout, 5*time.Minute)
	o.Interval = cmp.Or(o.Interval, 2*time.Second)
	o.TTL = cmp.Or(o.TTL, time.Minute)
	return &Solver{opts: o, resolver: r, port: 53}, nil
}

// Present appends the challenge's record to its zone.
func (s *Solver) Present(ctx context.Context, c acme.Challenge) error {
	p, err := s.place(ctx, c)
	if err != nil {
		return err
	}
	if _, err := s.opts.Provider.AppendRecords(ctx, p.zone, []libdns.Record{s.record(p, c)}); err != nil {
		return fmt.Errorf("add TXT record at %s in zone %s: %w", p.name, p.zone, err)
	}
	return nil
}

// Wait blocks until all nameservers of the zone have the record. Its error says
// what each of the others answers.
func (s *Solver) Wait(ctx context.Context, c acme.Challenge) error {
	p, err := s.place(ctx, c)
	if err != nil {
		return err
	}
	return s.propagate(ctx, p, c.DNS01KeyAuthorization())
}

// CleanUp takes the challenge's own value away, and no other one at its name.
func (s *Solver) CleanUp(ctx context.Context, c acme.Challenge) error {
	name := challengeName(c)
	p, ok := s.places.get(name) // where Present put it, whatever DNS says by now
	if !ok {
		var err error
		if p, err = s.locate(ctx, name); err != nil {
			return err
		}
	}
	if _, err := s.opts.Provider.DeleteRecords(ctx, p.zone, []libdns.Record{s.record(p, c)}); err != nil {
		return fmt.Errorf("remove TXT record at %s from zone %s: %w", p.name, p.zone, err)
	}
	return nil
}

func (s *Solver) record(p place, c acme.Challenge) libdns.TXT {
	return libdns.TXT{Name: libdns.RelativeName(p.name, p.zone), TTL: s.opts.TTL, Text: c.DNS01KeyAuthorization()}
}
