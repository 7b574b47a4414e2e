package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/cpuquota"
	"sallyport/internal/descriptors"
	"sallyport/internal/nonblock"
	"sallyport/relay/buffer"
	"sallyport/relay/localport"
	"sallyport/relay/sources"
)

// Engine accepts connections, asks Route about them and relays them. New, Listen and
// Run are called once each, in that order; the other methods may be called
// concurrently at any time after Listen.
type Engine struct {
	opts    Options
	began   time.Time // zero of the loops' clock
	loops   []*loop
	sources *sources.Table
	metrics *metrics
	warned  warnings
	samples samples
	ports   localport.Range // that connections to backends come from

	open      atomic.Int64 // connections, lingering ones included
	lingering atomic.Int64 // of these, refused ones whose client may still read why
	bridges   atomic.Int64 // that have not ended
	hedges    atomic.Int64 // tries of dials that are under way beside others
	stopping  atomic.Bool  // the loops end with their last connection
	hurry     atomic.Bool  // no lingering any more

	ran        atomic.Bool // Run was called
	aborted    context.Context
	abort      context.CancelFunc
	background sync.WaitGroup // goroutines of Options.Dial
}

// New assembles an engine. It opens nothing; an error says which option is wrong.
func New(opts Options) (*Engine, error) {
	t := opts.Timeouts
	switch {
	case opts.Route == nil || opts.Log == nil:
		return nil, errors.New("relay: Route and Log are required")
	case len(opts.Listen) == 0:
		return nil, errors.New("relay: no address to listen on")
	case t.Hello <= 0 || t.Handshake <= 0 || t.Connect <= 0 || t.Hedge <= 0 || t.Idle < 0 || t.Drain < 0:
		return nil, fmt.Errorf("relay: timeouts must be positive, got %+v", t)
	}
	if opts.Loops == 0 {
		opts.Loops = cpuquota.CPUs()
	}
	e := &Engine{opts: opts, began: time.Now(), metrics: newMetrics(), sources: sources.New()}
	e.aborted, e.abort = context.WithCancel(context.Background())
	return e, e.budget()
}

// budget fills in the bounds that Options leave open: what the descriptor limit allows an
// engine that has the process for itself.
func (e *Engine) budget() error {
	o := &e.opts
	limit, err := descriptors.Limit()
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	needs := descriptors.Needs{Loops: o.Loops, Listeners: len(o.Listen), PerConnection: 2, Connections: o.MaxConnections}
	if o.Dial != nil {
		needs.PerConnection = 3
	}
	b, err := descriptors.Divide(limit, needs)
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, b.Connections)
	o.MaxPipes = cmp.Or(o.MaxPipes, b.Pipes)
	o.MaxLingering = cmp.Or(o.MaxLingering, b.Lingering)
	o.MaxHedges = cmp.Or(o.MaxHedges, b.Hedges)
	return nil
}

// Listen opens the loops and their listeners, and returns the addresses, in the
// order of Options.Listen, with the ports that the kernel chose for port 0.
func (e *Engine) Listen() ([]netip.AddrPort, error) {
	bound, err := e.listen()
	if err != nil {
		e.Close()
	}
	return bound, err
}

// Close closes what Listen opened, if Run was never called, which closes it itself.
func (e *Engine) Close() {
	if e.ran.Load() {
		return
	}
	for _, l := range e.loops {
		for _, ln := range l.listen {
			nonblock.Close(ln.fd)
		}
		l.close()
	}
	e.loops = nil
}

func (e *Engine) listen() ([]netip.AddrPort, error) {
	bound := append([]netip.AddrPort(nil), e.opts.Listen...)
	for _, addr := range bound {
		if err := probe(addr); err != nil {
			return nil, err
		}
	}
	if err := buffer.ProbePipe(); err != nil { // now, not at the first bulk transfer
		e.warnPipes(err)
	}
	e.ports = localport.Read()
	for range e.opts.Loops {
		l, err := newLoop(e)
		if err != nil {
			return nil, fmt.Errorf("event loop: %w", err)
		}
		e.loops = append(e.loops, l)
		for i, addr := range bound {
			if bound[i], err = l.listenOn(addr); err != nil {
				return nil, err
			}
		}
	}
	return bound, nil
}

// Run serves until ctx is done. Then it drains: new connections are refused, and
// those that are open may end by themselves for Timeouts.Drain before they are
// ended; Abort cuts that short. It returns when the last connection is gone and
// every goroutine of the engine has ended. An error says that a loop is stuck
// (watchdog.go): then neither is true, and the process should end.
func (e *Engine) Run(ctx context.Context) error {
	if len(e.loops) == 0 {
		return errors.New("relay: Run before Listen")
	}
	e.ran.Store(true)
	var loops sync.WaitGroup
	for _, l := range e.loops {
		loops.Go(l.run)
	}
	ended := make(chan struct{})
	go func() {
		loops.Wait()
		close(ended)
	}()
	e.background.Go(func() { e.reportHidden(ended) })
	var stuck error
	over := make(chan struct{}) // all loops have ended, or one is stuck
	go func() {
		defer close(over)
		stuck = e.watch(ended)
	}()
	select {
	case <-ctx.Done():
	case <-e.aborted.Done():
	case <-over:
	}
	e.drain(over)
	<-over
	e.abort()
	if stuck == nil {
		e.background.Wait()
	}
	return stuck
}

// Abort ends every connection at once, and with them Run.
func (e *Engine) Abort() { e.abort() }

func (e *Engine) drain(over <-chan struct{}) {
	e.stopping.Store(true)
	e.post(func(l *loop) { l.stopAccepting() })
	limit := time.NewTimer(e.opts.Timeouts.Drain)
	defer limit.Stop()
	select {
	case <-over:
		return
	case <-limit.C:
	case <-e.aborted.Done():
	}
	e.hurry.Store(true)
	e.post(func(l *loop) { l.evictions.all = true })
}

// CloseBackend ends every connection to the backend with that Watch, because it
// was removed or is no longer the same CVM.
func (e *Engine) CloseBackend(w Watcher) {
	e.post(func(l *loop) { l.evictions.gone = append(l.evictions.gone, w) })
}

// Open is the number of connections, those of refused clients that still read
// their alert included.
func (e *Engine) Open() int { return int(e.open.Load()) }

// post runs f on every loop that still runs.
func (e *Engine) post(f func(*loop)) {
	for _, l := range e.loops {
		l.inbox.Post(func() { f(l) })
	}
}
