package nameserver

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Server is an authoritative name server. Its methods may be called concurrently,
// but for Listen and then Serve, once each.
type Server struct {
	o       Options
	began   time.Time
	limits  *limiter
	conns   *connections
	metrics *metrics
	sockets []socket // from Listen on

	view atomic.Pointer[view] // what queries are answered from

	panicTold atomic.Int64 // when a panic was logged last, since began, plus a minute; 0: never

	mu         sync.Mutex // guards what follows, and who replaces view
	plans      []*plan
	challenges challenges
	serial     uint32
}

// New assembles a server; it opens nothing. An error tells everything that is wrong
// with the zones.
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

// SetZones replaces the zones, for all queries at once. Challenges stay, and are told
// where a zone has their name. After an error everything is as it was.
func (s *Server) SetZones(zones []Zone) error {
	var (
		plans    []*plan
		problems []error
		seen     = map[wireName]bool{}
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
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("nameserver: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.plans
	s.plans = plans
	if err := s.publishLocked(); err != nil {
		s.plans = was
		return err
	}
	return nil
}

// publishLocked makes a view of what there is.
func (s *Server) publishLocked() error {
	serial := nextSerial(s.serial, time.Now())
	v, err := newView(s.plans, s.challenges, serial)
	if err != nil {
		return fmt.Errorf("nameserver: %w", err)
	}
	s.serial = serial
	s.view.Store(v)
	return nil
}

// nextSerial is the time, so that it moves on over restarts too, but more than the
// last one in any case (RFC 1982).
func nextSerial(last uint32, now time.Time) uint32 {
	if s := uint32(now.Unix()); int32(s-last) > 0 {
		return s
	}
	return last + 1
}

// Serve answers until ctx ends, then ends what it has begun, closes everything that
// Listen opened, and returns nil. Any other end is an error.
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

// reply is answer. What strangers send must not end the process: a panic is no answer.
func (s *Server) reply(t transport, q *query, dst, msg []byte) (b []byte) {
	defer func() {
		if p := recover(); p != nil {
			s.metrics.ignored.Inc()
			s.tellPanic(p)
			b = nil
		}
	}()
	return s.answer(t, q, dst, msg)
}

// answer answers the message in the bytes of dst, or with nil if it deserves none.
func (s *Server) answer(t transport, q *query, dst, msg []byte) []byte {
	rcode, ok := q.read(msg)
	if !ok {
		s.metrics.ignored.Inc()
		return nil
	}
	limit := maxTCP
	if t == udp {
		limit = q.udpSize()
	}
	b, rcode := s.view.Load().answer(dst, q, rcode, limit)
	s.metrics.answers[t][rcode].Inc()
	return b
}

// tellPanic logs a panic, once a minute: whoever has found a bug can meet it often.
func (s *Server) tellPanic(p any) {
	now := int64(time.Since(s.began)) + int64(time.Minute) // never 0
	if last := s.panicTold.Load(); (last == 0 || now-last >= int64(time.Minute)) && s.panicTold.CompareAndSwap(last, now) {
		s.o.Log.Error("panic; a dns query is not answered, please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}

// pause waits before something is tried again, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
