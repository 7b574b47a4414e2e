package relay

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/cpuquota"
)

// Engine accepts connections, has them decided and relays them. New, Listen and
// Run are called once each, in that order; the other methods may be called
// concurrently at any time after Listen.
type Engine struct {
	opts           Options
	began          time.Time // zero of the loops' clock
	maxConnections int
	maxPipes       int
	loops          []*loop
	sources        *sources
	metrics        *metrics
	warned         warnings
	samples        samples

	open     atomic.Int64 // connections, lingering ones included
	stopping atomic.Bool  // the loops end with their last connection
	hurry    atomic.Bool  // no lingering any more

	aborted    context.Context
	abort      context.CancelFunc
	background sync.WaitGroup // goroutines of Options.Dial
}

// Descriptors that are not connections': the runtime's, the tunnel's, logs, the
// admin server, the control plane.
const reservedFDs = 256

// fdsPerConnection is what a connection holds: its two ends.
const fdsPerConnection = 2

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
	e := &Engine{opts: opts, began: time.Now(), metrics: newMetrics(), sources: newSources()}
	e.aborted, e.abort = context.WithCancel(context.Background())
	return e, e.budget()
}

// budget divides the process's descriptors: a quarter may be pipes, which only
// directions under load hold; the rest is connections.
func (e *Engine) budget() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("relay: descriptor limit: %w", err)
	}
	// The runtime has raised the soft limit to the hard one.
	free := int(min(limit.Cur, 1<<24)) - reservedFDs
	most := free * 3 / 4 / fdsPerConnection
	if most < 16 {
		return fmt.Errorf("relay: the descriptor limit of %d leaves no room for connections; raise it (ulimit -n, LimitNOFILE=)", limit.Cur)
	}
	e.maxConnections = e.opts.MaxConnections
	if e.maxConnections == 0 {
		e.maxConnections = most
	} else if e.maxConnections > most {
		e.opts.Log.Warn("max_connections is more than the descriptor limit allows; raise it (ulimit -n, LimitNOFILE=)",
			"max_connections", e.maxConnections, "descriptor_limit", limit.Cur, "enough_for", most)
	}
	e.maxPipes = max(free/4/2, e.opts.Loops)
	return nil
}

// MaxConnections is the bound in force.
func (e *Engine) MaxConnections() int { return e.maxConnections }

// Listen opens the loops and their listeners, and returns the addresses, in the
// order of Options.Listen, with the ports that the kernel chose for port 0.
func (e *Engine) Listen() ([]netip.AddrPort, error) {
	bound, err := e.listen()
	if err != nil {
		for _, l := range e.loops {
			for _, ln := range l.listen {
				closeFD(ln.fd)
			}
			l.close()
		}
		e.loops = nil
	}
	return bound, err
}

func (e *Engine) listen() ([]netip.AddrPort, error) {
	bound := append([]netip.AddrPort(nil), e.opts.Listen...)
	for _, addr := range bound {
		if err := probe(addr); err != nil {
			return nil, err
		}
	}
	e.probePipes()
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
	var loops sync.WaitGroup
	for _, l := range e.loops {
		loops.Go(l.run)
	}
	ended := make(chan struct{})
	go func() {
		loops.Wait()
		close(ended)
	}()
	e.background.Go(func() { e.tellHidden(ended) })
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
// was removed or is no longer the same machine.
func (e *Engine) CloseBackend(w Watcher) {
	e.post(func(l *loop) { l.evictions.gone = append(l.evictions.gone, w) })
}

// Open is the number of connections, those of refused clients that still read
// their alert included.
func (e *Engine) Open() int { return int(e.open.Load()) }

// post runs f on every loop that still runs.
func (e *Engine) post(f func(*loop)) {
	for _, l := range e.loops {
		l.inbox.post(func() { f(l) })
	}
}
