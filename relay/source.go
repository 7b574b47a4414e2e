package relay

import (
	"net/netip"
	"sync"
)

// sources counts connections by client address, for MaxPerSource. An IPv6
// client is its /64: it owns all addresses in it.
type sources struct {
	max int

	mu   sync.Mutex // guards open; held for a map access only
	open map[source]int
}

type source = netip.Prefix

// admitSource counts the client's address against its limit.
func (s *setup) admitSource() Reason {
	all := &s.l.engine.sources
	if all.max == 0 {
		return goOn
	}
	if !all.acquire(sourceOf(s.c.addr.Addr())) {
		return SourceLimit
	}
	s.c.counted = true
	return goOn
}

func sourceOf(a netip.Addr) source {
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // it fails only for bits out of range
	return p
}

func (s *sources) acquire(src source) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[src] >= s.max {
		return false
	}
	if s.open == nil {
		s.open = make(map[source]int)
	}
	s.open[src]++
	return true
}

// release takes back one acquire.
func (s *sources) release(src source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[src]--; s.open[src] <= 0 {
		delete(s.open, src)
	}
}
