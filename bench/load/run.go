package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"sallyport/bench/meter"
	"sallyport/bench/sock"
)

// A run goes through these phases: connections are made; requests begin and warm
// the target up; what ends is counted; everything is closed. Idle connections are
// made in two parts, with a sample of the target after each.

// setupTime bounds how long connections may take to be made.
const setupTime = 60 * time.Second

// idleFirst is the share of idle connections, in percent, that are made before the first
// sample: they make the target allocate what it keeps anyhow.
const idleFirst = 20

// Run makes one run. It returns when every connection is closed; a ctx that ends
// ends it with an error. Runs may be made concurrently.
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
			if err := l.run(r.cpu(i)); err != nil {
				cancel(err)
			}
		})
	}
	watch.Go(func() { r.watch(ctx) })
	result, err := r.conduct(ctx)
	r.phase.until.CompareAndSwap(0, r.now())
	if err != nil {
		r.phase.until.Store(1) // at once
	}
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
	n := part(o.Connections)
	return share{n, part(o.BulkConnections), o.Rate * float64(n) / float64(o.Connections)}
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
	if err := r.ready(ctx, r.first()); err != nil {
		return nil, err
	}
	r.phase.start.Store(max(r.now(), 1))
	if r.opts.Workload == Idle {
		return r.conductIdle(ctx)
	}
	from := r.now() + int64(r.opts.Warmup)
	r.phase.until.Store(from + int64(r.opts.Duration))
	r.phase.from.Store(from)
	r.wake()
	if err := wait(ctx, r.opts.Warmup); err != nil {
		return nil, err
	}
	before, err := r.sample()
	if err != nil {
		return nil, err
	}
	if err := wait(ctx, time.Duration(r.phase.until.Load()-r.now())); err != nil {
		return nil, err
	}
	after, err := r.sample()
	return between(before, after), err
}

// conductIdle counts what the second part of the connections keeps. Duration is how
// long the target may take to come to rest.
func (r *run) conductIdle(ctx context.Context) (*Result, error) {
	if err := wait(ctx, r.opts.Duration); err != nil {
		return nil, err
	}
	before, err := r.sample()
	if err != nil {
		return nil, err
	}
	r.phase.want.Store(100)
	r.wake()
	if err := r.ready(ctx, r.opts.Connections); err != nil {
		return nil, err
	}
	if err := wait(ctx, r.opts.Duration); err != nil {
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

// ready waits until n connections are open.
func (r *run) ready(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, setupTime, errors.New("the connections were not made within a minute"))
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for r.totals().open < int64(n) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// moment is everything that is counted, at one time.
type moment struct {
	at                time.Time
	target, generator meter.Sample
	operations, bytes uint64
	handshakes        uint64
	resumed, errors   uint64
	open              int64
}

func (r *run) sample() (moment, error) {
	m := r.totals()
	var err error
	if m.target, err = meter.Take(r.opts.PID); err != nil {
		return m, err
	}
	m.generator, err = meter.Take(os.Getpid())
	return m, err
}

func (r *run) totals() moment {
	m := moment{at: time.Now()}
	for _, l := range r.loops {
		c := &l.counters
		m.operations += c.operations.Load()
		m.bytes += c.bytes.Load()
		m.handshakes += c.handshakes.Load()
		m.resumed += c.resumed.Load()
		m.errors += c.errors.Load()
		m.open += c.open.Load()
	}
	return m
}

// between is what happened between two moments.
func between(a, b moment) *Result {
	s := b.at.Sub(a.at).Seconds()
	r := &Result{
		Seconds: s, Operations: b.operations - a.operations, Bytes: b.bytes - a.bytes, Errors: b.errors,
		Handshakes: b.handshakes - a.handshakes, Resumed: b.resumed - a.resumed,
		CPU: use(a.target, b.target, a.generator, b.generator),
	}
	r.OperationsRate, r.BytesRate = float64(r.Operations)/s, float64(r.Bytes)/s
	return r
}

// collect adds what the loops kept to themselves until they had ended.
func (r *run) collect(result *Result) {
	var all Histogram
	for _, l := range r.loops {
		all.Add(&l.main)
		result.Unended += l.unended
		if e := l.counters.firstError.Load(); e != nil && result.FirstError == "" {
			result.FirstError = *e
		}
	}
	result.Workload, result.Connections = r.opts.Workload, r.opts.Connections
	result.Latency = latency(&all)
}

// watch tells the progress each second.
func (r *run) watch(ctx context.Context) {
	if r.opts.Progress == nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := r.totals()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m := r.totals()
		s := m.at.Sub(last.at).Seconds()
		from := r.phase.from.Load()
		r.opts.Progress(Progress{
			Elapsed: m.at.Sub(r.began), Open: m.open, Errors: m.errors,
			OperationsRate: float64(m.operations-last.operations) / s,
			BytesRate:      float64(m.bytes-last.bytes) / s,
			Measuring:      from != 0 && r.now() >= from,
		})
		last = m
	}
}
