package certs

import (
	"crypto/rand"
	"time"
)

// Session tickets. Left alone, every tls.Config keeps keys of its own, and a
// ticket could only be resumed with the config that issued it: a browser that
// comes back with another ALPN would pay a full handshake. So all configs of
// the process share one list of keys, which only Run changes.
//
// An attacker with a ticket key can read recorded TLS 1.2 sessions whose tickets it
// has encrypted (TLS 1.3 adds a fresh key exchange to each). So a key issues tickets
// for half a day, is forgotten after a day, and is never written anywhere. Clients
// read a week: crypto/tls writes that into every TLS 1.3 ticket. One that comes
// later than the key lives pays a full handshake, and no round trip more.
const (
	ticketRotation = 12 * time.Hour
	ticketLifetime = 24 * time.Hour
)

// tickets are the keys, the newest first: it issues, all are accepted.
type tickets []ticketKey

type ticketKey struct {
	key  [32]byte
	made time.Time
}

// due reports whether it is time to rotate.
func (t tickets) due(now time.Time) bool {
	return len(t) == 0 || now.Sub(t[0].made) >= ticketRotation
}

// rotate makes a new key and forgets the old ones.
func (t *tickets) rotate(now time.Time) {
	fresh := ticketKey{made: now}
	rand.Read(fresh.key[:])
	kept := tickets{fresh}
	for _, k := range *t {
		if now.Sub(k.made) < ticketLifetime {
			kept = append(kept, k)
		}
	}
	*t = kept
}

// give gives the list to all configs. For the moment in which only some have it, a
// ticket with the newest key may cost a full handshake.
func (t tickets) give(domains []*domain) {
	keys := make([][32]byte, len(t))
	for i, k := range t {
		keys[i] = k.key
	}
	for _, d := range domains {
		for _, c := range d.configs {
			c.SetSessionTicketKeys(keys)
		}
	}
}
