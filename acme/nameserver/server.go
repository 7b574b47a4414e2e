package nameserver

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/oneline"
)

// Server is an authoritative name server. Call Listen and then Serve, once each. All
// other methods may be called concurrently.
type Server struct {
	o       Options
	began   time.Time
	limits  *limiter
	conns   *connections
	metrics *metrics
	sockets []socket // from Listen on

	view atomic.Pointer[view] // queries are answered from it

	bugLogged atomic.Int64 // when a panic was logged last, since began, plus a minute; 0: never

	mu         sync.Mutex // guards the fields below, and replacing view
	plans      []*plan
	challenges challenges
	serial     uint32
}

// New returns a server. It opens nothing. An error names every problem of the zones.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	now := time.Now()
	s := &Server{
		o:          o,
		began:      now,
		limits:     newLimiter(o.ExcessPerSource),
		conns:      newConnections(o.MaxConnections),
		metrics:    newMetrics(),
		challenges: challenges{},
		serial:     uint32(now.Unix()) - 1,
	}
	if err := s.SetZones(o.Zones); err != nil {
		return nil, err
	}
	return s, nil
}

// SetZones replaces the zones, for all queries at once. Challenges stay, and are answered
// where a zone has their name. An error leaves everything as it was.
func (s *Server) SetZones(zones []Zone) error {
	var (
		plans    []*plan
		problems []error
		seen     = map[fqdn]bool{}
	)
	for _, z := range zones {
		p, err := newPlan(z)
		switch {
		case err != nil:
			problems = append(problems, err)
		case seen[p.apex]:
			problems = append(problems, fmt.Errorf("zone %s: is listed twice", z.Name))
		default:
			seen[p.apex] = true
			plans = append(plans, p)
		}
	}
	if err := oneline.Join(problems...); err != nil {
		return fmt.Errorf("nameserver: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plans = plans
	s.publishLocked()
	return nil
}

// publishLocked makes a view of the plans and challenges.
func (s *Server) publishLocked() {
	s.serial = nextSerial(s.serial, time.Now())
	s.view.Store(newView(s.plans, s.challenges, s.serial))
}

// nextSerial returns the time in seconds, so that serials grow over restarts too, but at
// least one more than last (RFC 1982).
func nextSerial(last uint32, now time.Time) uint32 {
	if s := uint32(now.Unix()); int32(s-last) > 0 {
		return s
	}
	return last + 1
}

// Serve answers until ctx ends, then finishes the queries that it has read, closes
// everything that Listen opened, and returns nil. Any other end is an error.
func (s *Server) Serve(ctx context.Context) error {
	defer s.close()
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops sync.WaitGroup
	for _, so := range s.sockets {
		loops.Go(func() { s.serveUDP(running, so.packets) })
		loops.Go(func() {
			if err := s.serveTCP(running, so.listener); err != nil {
				cancel(fmt.Errorf("nameserver: accept on %s: %w", so.listener.Addr(), err))
			}
		})
	}
	<-running.Done()
	loops.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
