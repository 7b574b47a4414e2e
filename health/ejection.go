package health

import (
	"time"

	"sallyport/internal/backoff"
)

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
	until time.Time // end of the pause; zero if it is not out
	row   int       // how often it was ejected without a rest of maxPause in between
	seen  int32     // failures in a row when the pause or the trial began
	back  time.Time // when it last came back
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
		*x = ejection{row: x.row, back: now}
		return true
	case x.trial && failures > x.seen:
		x.eject(failures, now)
	case !x.trial && !now.Before(x.until):
		x.trial, x.seen = true, failures
	}
	return false
}

func (x *ejection) eject(failures int32, now time.Time) {
	if !x.trial && (x.back.IsZero() || now.Sub(x.back) >= maxPause) {
		x.row = 0
	}
	x.row++
	x.trial, x.until, x.seen = false, now.Add(x.pause()), failures
}

// pause is the latest one.
func (x *ejection) pause() time.Duration { return backoff.Double(firstPause, maxPause, x.row) }
