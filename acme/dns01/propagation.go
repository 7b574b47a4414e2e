package dns01

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/oneline"
)

// propagate asks all nameservers of the zone in rounds until each has answered with
// the value. One that has it is not asked again.
func (s *Solver) propagate(ctx context.Context, p place, value string) error {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout)
	defer cancel()
	start := time.Now()
	tick := time.NewTicker(s.opts.Interval)
	defer tick.Stop()
	var rest []nameserver
	var missing error // what the last whole round said
	for {
		var problem error
		if rest == nil {
			rest, problem = s.nameservers(ctx, p.zone)
		}
		if problem == nil {
			rest, problem = round(ctx, rest, p.name, value)
		}
		if problem == nil {
			return nil
		}
		if missing == nil || !over(ctx) { // else it was cut off
			missing = problem
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return fmt.Errorf("record at %s is not at all nameservers of zone %s after %s: %w: %w",
				p.name, p.zone, time.Since(start).Round(time.Second), missing, context.Cause(ctx))
		}
	}
}

// round asks each of list, all at the same time. It returns those that lack the
// value, and what they said.
func round(ctx context.Context, list []nameserver, name, value string) (rest []nameserver, problem error) {
	errs := make([]error, len(list))
	var asking sync.WaitGroup
	for i, n := range list {
		asking.Go(func() { errs[i] = n.lacks(ctx, name, value) })
	}
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			rest = append(rest, list[i])
		}
	}
	return rest, oneline.Join(errs...)
}

// over reports whether ctx has ended, or is about to: the deadline of a socket that has
// the context's may pass a moment earlier.
func over(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(end)
}
