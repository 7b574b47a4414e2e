package wg

import "time"

// WireGuard reports a handshake as a moment of the wall clock, in a clock that an
// administrator or NTP may step at any time. A step must not make a peer look
// young for ever, or old at once. So the wall clock is used once per handshake,
// and its answer is held between two moments of the monotonic clock:
//
//   - the reported moment changed: the handshake happened since the last look,
//     so its age is wall now - reported, within [0, time since the last look];
//   - it did not change: the moment kept from before ages by the monotonic clock;
//   - the peer was never looked at: max(0, wall now - reported) is all there is.
//
// The monotonic clock stands still while a virtual machine is suspended; after
// that, ages are too young by the length of the sleep until the next handshake.

// maxAge bounds what a first look believes. A file of peers from another
// century must not overflow anything.
const maxAge = 30 * 24 * time.Hour

// handshake is what is known about a peer's last handshake. The zero value is a
// peer that was never looked at.
type handshake struct {
	looked   time.Time // when last looked, with monotonic reading
	reported time.Time // as WireGuard reports it, wall clock; zero: never
	at       time.Time // the same moment with monotonic reading; zero: never
}

// look takes a report that was read when the wall clock said wall and the
// monotonic one now.
func (h handshake) look(reported, wall, now time.Time) handshake {
	next := handshake{looked: now, reported: reported, at: h.at}
	switch {
	case reported.IsZero():
		next.at = time.Time{} // never, or the peer was created again
	case !reported.Equal(h.reported):
		next.at = now.Add(-h.age(reported, wall, now))
	}
	return next
}

// age is how long ago a handshake was that h did not know of.
func (h handshake) age(reported, wall, now time.Time) time.Duration {
	limit := maxAge
	if !h.looked.IsZero() {
		limit = now.Sub(h.looked)
	}
	return min(max(wall.Sub(reported), 0), limit)
}

// newborn is a peer that was just made and so has never shaken hands: its first
// handshake cannot be older than this moment.
func newborn() handshake { return handshake{looked: time.Now()} }
