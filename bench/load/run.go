package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"sallyport/bench/sock"
)

// A run goes through these phases: connections are made; requests begin and warm
// the target up; what ends is counted; everything is closed. Idle connections are
// made in two parts, with a sample of the target after each.

// setupTime bounds how long connections may take to be made; each adds setupEach.
const (
	setupTime = 60 * time.Second
	setupEach = time.Millisecond
)

var errStopped = errors.New("stopped before anything was counted")

// idleFirst is the share of idle connections, in percent, that are made before the first
// sample: they make the target allocate what it keeps anyhow.
const idleFirst = 20

// Run makes one run, and returns when every connection is closed. Single failures are
// in the result. Many in a row, one before the requests begin, or the end of ctx make
// the run fail; then there is no result. Runs may be made concurrently.
func Run(ctx context.Context, opts Options) (*Result, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	r, err := newRun(ctx, &opts)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var loops, watch sync.WaitGroup
	for i, l := range r.loops {
		loops.Go(func() {
			if err := opts.Within(func() error { return l.run(r.cpu(i)) }); err != nil {
				cancel(err)
			}
		})
	}
	watch.Go(func() { r.watch(ctx) })
	result, err := r.conduct(ctx)
	r.phase.stop.Store(true)
	r.wake()
	loops.Wait()
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	cancel(nil)
	watch.Wait()
	for _, l := range r.loops {
		l.poller.Close()
	}
	if err != nil {
		return nil, err
	}
	r.collect(result)
	return result, nil
}

// run is one run, from the coordinator's side.
type run struct {
	opts  *Options
	began time.Time
	phase phases
	loops []*loop
}

func newRun(ctx context.Context, opts *Options) (*run, error) {
	to, err := resolve(ctx, opts.Target)
	if err != nil {
		return nil, err
	}
	var hello []byte
	if opts.TLS == 0 {
		if hello, err = recordHello(opts); err != nil {
			return nil, fmt.Errorf("record a ClientHello for %q: %w", opts.ServerName, err)
		}
	}
	r := &run{opts: opts, began: time.Now()}
	r.phase.want.Store(idleFirst)
	for i := range opts.Threads {
		poller, err := sock.NewPoller[*conn]()
		if err != nil {
			for _, l := range r.loops {
				l.poller.Close()
			}
			return nil, err
		}
		l := &loop{
			opts: opts, to: to, hello: hello, share: opts.share(i), poller: poller, tls: newTLSMaker(opts),
			buf: make([]byte, readSize), cipher: make([]byte, readSize), zeros: make([]byte, readSize),
			began: r.began, phase: &r.phase,
		}
		l.newGroups()
		r.loops = append(r.loops, l)
	}
	return r, nil
}

// share is the part of thread i.
func (o *Options) share(i int) share {
	part := func(n int) int { return n*(i+1)/o.Threads - n*i/o.Threads }
	n, bulk := part(o.Connections), part(o.BulkConnections)
	s := share{connections: n, bulk: bulk, rate: o.Rate * float64(n) / float64(o.Connections)}
	if o.Workload == Mixed {
		s.bulkRate = o.BulkRate * float64(bulk) / float64(o.BulkConnections)
	} else {
		s.bulkRate = o.BulkRate * float64(n) / float64(o.Connections)
	}
	return s
}

func resolve(ctx context.Context, target string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(target)
	if err != nil {
		return netip.AddrPort{}, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, "tcp", service)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(port)), nil
}

func (r *run) now() int64 { return int64(time.Since(r.began)) }

func (r *run) cpu(i int) int {
	if len(r.opts.CPUs) == 0 {
		return -1
	}
	return r.opts.CPUs[i%len(r.opts.CPUs)]
}

func (r *run) wake() {
	for _, l := range r.loops {
		l.poller.Wake()
	}
}

// conduct goes through the phases.
func (r *run) conduct(ctx context.Context) (*Result, error) {
	if err := r.ready(ctx, r.first(), moment.isOpen); err != nil {
		return nil, err
	}
	r.phase.start.Store(max(r.now(), 1))
	r.opts.Started()
	if r.opts.Workload == Idle {
		return r.conductIdle(ctx)
	}
	from := r.now() + int64(r.opts.Warmup)
	r.phase.until.Store(from + int64(r.opts.Duration))
	r.phase.from.Store(from)
	r.wake()
	if stopped, err := r.wait(ctx, r.opts.Warmup); err != nil || stopped {
		return nil, cmp.Or(err, errStopped)
	}
	before, err := r.sample()
	if err != nil {
		return nil, err
	}
	stopped, err := r.wait(ctx, time.Duration(r.phase.until.Load()-r.now()))
	if err != nil {
		return nil, err
	}
	if stopped {
		r.phase.until.Store(r.now())
	}
	after, err := r.sample()
	return between(before, after), err
}

// conductIdle counts what the second part of the connections keeps. Duration is how
// long the target may take to come to rest.
func (r *run) conductIdle(ctx context.Context) (*Result, error) {
	if stopped, err := r.wait(ctx, r.opts.Duration); err != nil || stopped {
		return nil, cmp.Or(err, errStopped)
	}
	before, err := r.sample()
	if err != nil {
		return nil, err
	}
	r.phase.want.Store(100)
	r.wake()
	if err := r.ready(ctx, r.opts.Connections, moment.isIdle); err != nil {
		return nil, err
	}
	if _, err := r.wait(ctx, r.opts.Duration); err != nil {
		return nil, err
	}
	after, err := r.sample()
	result := between(before, after)
	if n := after.open - before.open; n > 0 {
		result.Idle = &Idling{
			Connections: int(n),
			RSS:         float64(after.target.RSS-before.target.RSS) / float64(n),
			Descriptors: float64(after.target.Descriptors-before.target.Descriptors) / float64(n),
		}
	}
	return result, err
}

// first is how many connections there are before the start.
func (r *run) first() int {
	switch r.opts.Workload {
	case Connect:
		return 0
	case Idle:
		n := 0
		for _, l := range r.loops {
			n += l.share.connections * idleFirst / 100
		}
		return n
	case Mixed:
		return r.opts.Connections + r.opts.BulkConnections
	default:
		return r.opts.Connections
	}
}

// ready waits until as many connections as wanted are as they should be.
func (r *run) ready(ctx context.Context, wanted int, count func(moment) int64) error {
	limit := setupTime + time.Duration(wanted)*setupEach
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not all of %d connections were made within %s", wanted, limit))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for count(r.totals()) < int64(wanted) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.opts.Stop:
			return errStopped
		case <-tick.C:
		}
	}
	return nil
}

// wait waits for d; Options.Stop ends that early.
func (r *run) wait(ctx context.Context, d time.Duration) (stopped bool, err error) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-r.opts.Stop:
		return true, nil
	case <-t.C:
		return false, nil
	}
}
