package health

import (
	"fmt"
	"time"

	"sallyport/internal/vm"
)

// What the facts about an instance mean, the first line that fits:
//
//	refused   the control plane says so                           no traffic
//	never     no handshake since it registered                    no traffic
//	down      the last handshake is MaxAge ago or longer          no traffic
//	ejected   dials fail: first pausing, then on trial            last resort, then little
//	stale     the last handshake is over 180 s ago                little
//	warming   up, or up again, for less than 30 s           growing
//	fresh     else                                                full
//
// Weights are shares relative to the app's other instances, so an app whose
// instances are all stale loses nothing.

const (
	// WireGuard refuses to send with a session older than this (REJECT-AFTER-TIME):
	// a dial has to wait for a new handshake, up to 5 s per try.
	staleAge = 180 * time.Second

	warmFor  = 30 * time.Second
	warmStep = 5 * time.Second

	fullWeight  = 100
	staleWeight = 10
	trialWeight = 5
)

// facts are what the Monitor knows about one instance.
type facts struct {
	refused  string    // why the control plane allows it no traffic; "": it does
	static   bool      // handshakes are not watched: assumed to happen now
	reported time.Time // of the last handshake, as the device reported it
	shaken   time.Time // of the last handshake, never in the future; zero is never
	warm     time.Time // since when it warms up; zero is not at all
	ejection ejection
}

// verdict is what they mean, until next: the moment when time alone changes it,
// zero if nothing will.
type verdict struct {
	health vm.Health
	weight uint16
	reason string
	next   time.Time
}

// observe takes the time of the last handshake that the device reports. A time in the
// future counts as now, once: reported again, it is not a new handshake. A time before
// the last one comes from a device that was created again, and changes nothing.
func (f *facts) observe(reported, now time.Time) (news bool) {
	if reported.IsZero() || reported.Equal(f.reported) {
		return false
	}
	f.reported = reported
	if reported.After(now) {
		reported = now
	}
	if !reported.After(f.shaken) {
		return false
	}
	f.shaken = reported
	return true
}

// alive reports whether the last handshake is young enough to receive traffic.
func (f *facts) alive(now time.Time, maxAge time.Duration) bool {
	return f.static || !f.shaken.IsZero() && now.Sub(f.shaken) < maxAge
}

// judge returns what the facts mean at a moment.
func (f *facts) judge(now time.Time, maxAge time.Duration) verdict {
	if f.refused != "" {
		return verdict{health: vm.Refused, reason: f.refused}
	}
	if !f.alive(now, maxAge) {
		if f.shaken.IsZero() {
			return verdict{health: vm.Never, reason: "no handshake since it registered"}
		}
		return verdict{health: vm.Down, reason: fmt.Sprintf("no handshake for %v", maxAge)}
	}
	v := f.byAge(now, maxAge)
	if until := f.warm.Add(warmFor); !f.warm.IsZero() && now.Before(until) {
		into := now.Sub(f.warm).Truncate(warmStep)
		v.lower(uint16(fullWeight * (into + warmStep) / (warmFor + warmStep)))
		v.change(f.warm.Add(into + warmStep))
		if v.health == vm.Fresh {
			v.health, v.reason = vm.Warming, "its tunnel came up, its share grows"
		}
	}
	switch {
	case f.ejection.trial:
		v.health, v.reason = vm.Ejected, "dials failed, it is tried with a small share"
		v.lower(trialWeight)
	case f.ejection.out():
		v.health, v.reason = vm.Ejected, fmt.Sprintf("dials failed, it is tried again after %v", f.ejection.pause())
		v.lower(0)
		v.change(f.ejection.until)
	}
	return v
}

// byAge judges one that is alive by its last handshake alone.
func (f *facts) byAge(now time.Time, maxAge time.Duration) verdict {
	switch {
	case f.static:
		return verdict{health: vm.Fresh, weight: fullWeight, reason: "handshakes are not watched"}
	case now.Sub(f.shaken) < min(staleAge, maxAge):
		return verdict{vm.Fresh, fullWeight, "its tunnel is up", f.shaken.Add(min(staleAge, maxAge))}
	default:
		return verdict{vm.Stale, staleWeight, "its session has expired, a dial waits for a handshake", f.shaken.Add(maxAge)}
	}
}

func (v *verdict) lower(weight uint16) { v.weight = min(v.weight, weight) }

// change says that the verdict holds until at, if not shorter.
func (v *verdict) change(at time.Time) {
	if v.next.IsZero() || at.Before(v.next) {
		v.next = at
	}
}
