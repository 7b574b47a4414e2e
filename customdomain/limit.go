package customdomain

import (
	"fmt"
	"net/netip"
	"time"

	"sallyport/internal/source"
)

// pace is a token bucket: it fills by one token each every, up to burst. Its whole
// state is the time at which it will be full, so an empty map entry is a full
// bucket, and one that is full again can be forgotten.
type pace struct {
	every time.Duration
	burst int
}

// take takes a token, if there is one, from the bucket that is full at full. It
// returns when it will be full then.
func (p pace) take(full, now time.Time) (_ time.Time, ok bool) {
	if full.Before(now) {
		full = now
	}
	full = full.Add(p.every)
	return full, full.Sub(now) <= time.Duration(p.burst)*p.every
}

var (
	errSource = fmt.Errorf("%w by this client", ErrLimited)
	errAll    = fmt.Errorf("%w by all clients together", ErrLimited)
)

// limiter bounds the lookups by each source and by all.
//
// A source is entered only when both limits let it through: so one that asks too
// much takes nothing from the others, and there are never more sources than all
// may make lookups in a minute.
type limiter struct {
	source, all pace
	full        time.Time // when all's bucket is full
	sources     map[netip.Prefix]time.Time
	swept       int // sources that were left by the last sweep
}

// newLimiter makes a limiter; perMinute may be 0 for no limit by source.
func newLimiter(perMinute, perSecond int) limiter {
	l := limiter{all: pace{time.Second / time.Duration(perSecond), perSecond}, sources: make(map[netip.Prefix]time.Time)}
	if perMinute > 0 {
		l.source = pace{time.Minute / time.Duration(perMinute), perMinute}
	}
	return l
}

// take counts one lookup, or returns which limit forbids it.
func (l *limiter) take(client netip.Addr, now time.Time) error {
	src := source.Of(client)
	sourceFull, ok := l.source.take(l.sources[src], now)
	if !ok {
		return errSource
	}
	full, ok := l.all.take(l.full, now)
	if !ok {
		return errAll
	}
	l.full = full
	if l.source.burst > 0 {
		l.sources[src] = sourceFull
		l.sweep(now)
	}
	return nil
}

// sweep forgets the sources whose buckets are full, whenever there are twice as
// many as it left the last time: so each lookup pays for two of them at most.
func (l *limiter) sweep(now time.Time) {
	if len(l.sources) < 2*l.swept+64 {
		return
	}
	for src, full := range l.sources {
		if !now.Before(full) {
			delete(l.sources, src)
		}
	}
	l.swept = len(l.sources)
}
