package dns01

import (
	"context"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
)

// place is where a challenge's record belongs. Names are canonical: in lower case,
// with a dot at their end.
type place struct {
	name string // behind all aliases
	zone string
}

const (
	// placeFor is how long a place is believed: from Present to Wait and to the
	// challenge of the wildcard, not to the next renewal.
	placeFor = 10 * time.Minute
	// maxPlaces bounds what is remembered. More names at a time are looked up again.
	maxPlaces = 256
)

// places remembers where the records of challenges belong. The zero value is empty;
// all methods may be called concurrently.
type places struct {
	mu    sync.Mutex // guards what follows; not held while anybody is asked
	known map[string]remembered
}

type remembered struct {
	place
	at time.Time
}

// get is the place of name, however old.
func (ps *places) get(name string) (place, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	r, ok := ps.known[name]
	return r.place, ok
}

// fresh is the place of name if it may be believed.
func (ps *places) fresh(name string, now time.Time) (place, bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	r, ok := ps.known[name]
	return r.place, ok && now.Sub(r.at) < placeFor
}

// put remembers p, instead of the oldest one if there are too many.
func (ps *places) put(name string, p place, now time.Time) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.known == nil {
		ps.known = make(map[string]remembered)
	}
	if _, ok := ps.known[name]; !ok && len(ps.known) >= maxPlaces {
		oldest, at := "", now
		for n, r := range ps.known {
			if oldest == "" || r.at.Before(at) {
				oldest, at = n, r.at
			}
		}
		delete(ps.known, oldest)
	}
	ps.known[name] = remembered{p, now}
}

// place is where the record of c belongs, from memory or by asking.
func (s *Solver) place(ctx context.Context, c acme.Challenge) (place, error) {
	name := challengeName(c)
	if p, ok := s.places.fresh(name, time.Now()); ok {
		return p, nil
	}
	p, err := s.locate(ctx, name)
	if err == nil {
		s.places.put(name, p, time.Now())
	}
	return p, err
}

// challengeName is the same for a domain and its wildcard.
func challengeName(c acme.Challenge) string { return dns.CanonicalName(c.DNS01TXTRecordName()) }
