package acme

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// pauses after the first, second, … failure. Let's Encrypt allows five failed
// validations of a name per account and hour: these make four in the first.
var pauses = [...]time.Duration{
	time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour,
}

// rateLimited is the least pause after an authority has reported a limit: the limits
// are per hour or longer.
const rateLimited = time.Hour

// uncounted is the longest pause after failures that no authority knows of.
const uncounted = 5 * time.Minute

// unordered is a failure before anything was ordered: Preflight's. The operator is
// mending it, and trying again costs no more than a few questions of DNS.
type unordered struct{ error }

// Unwrap returns what was wrong.
func (u unordered) Unwrap() error { return u.error }

// pause is the time to wait after so many failures in a row, the last being err. A
// tenth is left to chance, so that gateways do not come back together.
func pause(failures int, err error) time.Duration {
	p := pauses[min(max(failures, 1), len(pauses))-1]
	if is(err, acme.ProblemTypeRateLimited) {
		p = max(p, rateLimited)
	}
	if _, ok := errors.AsType[unordered](err); ok {
		p = min(p, uncounted)
	}
	return p + rand.N(p/10)
}

// boundedTry keeps a next try that was stored within what can have been meant, whatever
// the clock has done since.
func boundedTry(next, now time.Time) time.Time {
	if latest := now.Add(pauses[len(pauses)-1] * 11 / 10); next.After(latest) {
		return latest
	}
	return next
}
