package health

import (
	"sync/atomic"
	"time"
)

// dials are what dials to an instance say about it, port by port, because a client
// chooses the port: one that the instance's firewall drops, or one at which it stops
// answering clients that ask often, must not eject the instance. So a failure counts
//
//   - only at a port that has answered before,
//   - only if no other port has answered in the last contradictedFor: the instance lives,
//   - by port: a row of failures at one port is what ejects.
//
// An answer at any port ends the rows of all. Rows without end are few: a machine that
// is gone answers at no port.
//
// The ports that answered last are remembered, knownPorts of them; only the instance
// itself can make them more. Each is one word, so that the loops that note dials at the
// same time need no lock.
type dials struct {
	ports [knownPorts]atomic.Uint64 // a dialledPort each; 0 is none
}

const (
	knownPorts      = 8
	contradictedFor = 5 // seconds
)

// dialledPort is the port in the 16 upper bits, then its failures in a row, then the
// second of its last answer.
type dialledPort uint64

func (p dialledPort) port() uint16     { return uint16(p >> 48) }
func (p dialledPort) row() uint16      { return uint16(p >> 32) }
func (p dialledPort) answered() uint32 { return uint32(p) }

func aPort(port, row uint16, answered uint32) dialledPort {
	return dialledPort(port)<<48 | dialledPort(row)<<32 | dialledPort(answered)
}

// second is the clock of the answers. It begins at 1.
func second(since time.Duration) uint32 { return uint32(since/time.Second) + 1 }

// answer notes that a dial to the port succeeded in the second now. It reports whether
// that ended a row of failures. The usual case, a port that has answered in this second,
// costs no write.
func (d *dials) answer(port uint16, now uint32) (ended bool) {
	for {
		at := d.place(port)
		old := dialledPort(d.ports[at].Load())
		if fresh := aPort(port, 0, now); old == fresh || d.ports[at].CompareAndSwap(uint64(old), uint64(fresh)) {
			ended = old.port() == port && old.row() > 0
			break
		}
	}
	return d.forgive() || ended
}

// place is where the port stands, or may stand: in the place of the one that has not
// answered for the longest time.
func (d *dials) place(port uint16) int {
	place, least := 0, ^uint32(0)
	for i := range d.ports {
		p := dialledPort(d.ports[i].Load())
		if p.port() == port {
			return i
		}
		if p.answered() < least {
			place, least = i, p.answered()
		}
	}
	return place
}

// forgive ends all rows. It reports whether there was one.
func (d *dials) forgive() (some bool) {
	for i := range d.ports {
		for {
			p := dialledPort(d.ports[i].Load())
			if p.row() == 0 {
				break
			}
			if d.ports[i].CompareAndSwap(uint64(p), uint64(aPort(p.port(), 0, p.answered()))) {
				some = true
				break
			}
		}
	}
	return some
}

// failure notes that a dial to the port failed in the second now. It returns the length
// of the port's row of failures, 0 if this one does not count.
func (d *dials) failure(port uint16, now uint32) int32 {
	at := -1
	for i := range d.ports {
		switch p := dialledPort(d.ports[i].Load()); {
		case p == 0:
		case p.port() == port:
			at = i
		case p.answered()+contradictedFor >= now:
			return 0
		}
	}
	for at >= 0 {
		p := dialledPort(d.ports[at].Load())
		if p.port() != port {
			break // another one has taken the place
		}
		more := aPort(port, min(p.row(), 1<<16-2)+1, p.answered())
		if d.ports[at].CompareAndSwap(uint64(p), uint64(more)) {
			return int32(more.row())
		}
	}
	return 0
}

// row is the longest row of failures.
func (d *dials) row() (longest int32) {
	for i := range d.ports {
		longest = max(longest, int32(dialledPort(d.ports[i].Load()).row()))
	}
	return longest
}
