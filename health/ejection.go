package health

import "time"

// Dials that fail eject an instance before its handshake grows old:
//
//	in ──3 failures in a row──▶ out, pausing ──pause is over──▶ out, on trial
//	▲                               ▲                               │
//	│                               └────failure, pause doubles─────┤
//	└───────────────────────────success─────────────────────────────┘
//
// A success of a dial begun earlier brings it back from the pause too. Ejected
// again soon after it came back, it goes on with the doubled pause.

const (
	maxFailures = 3
	firstPause  = time.Second
	maxPause    = time.Minute
)

// ejection is what failed dials did to an instance; the zero value is nothing.
type ejection struct {
	trial bool
	until time.Time     // end of the pause; zero if it is not out
	pause time.Duration // the latest one
	seen  int32         // failures in a row when the pause or the trial began
	back  time.Time     // when it last came back
}

func (x *ejection) out() bool { return !x.until.IsZero() }

// update takes the number of failures in a row. It reports whether the instance
// came back.
func (x *ejection) update(failures int32, now time.Time) (back bool) {
	switch {
	case !x.out():
		if failures >= maxFailures {
			x.eject(failures, now)
		}
	case failures < x.seen: // there was a success
		*x = ejection{pause: x.pause, back: now}
		return true
	case x.trial && failures > x.seen:
		x.eject(failures, now)
	case !x.trial && !now.Before(x.until):
		x.trial, x.seen = true, failures
	}
	return false
}

func (x *ejection) eject(failures int32, now time.Time) {
	if x.trial || !x.back.IsZero() && now.Sub(x.back) < maxPause {
		x.pause = min(2*x.pause, maxPause)
	} else {
		x.pause = firstPause
	}
	x.trial, x.until, x.seen = false, now.Add(x.pause), failures
}
