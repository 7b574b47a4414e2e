package attack

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/bench/load"
)

// Run attacks, and returns when its time is over and every connection is closed.
func Run(ctx context.Context, opts Options) (*Result, error) {
	if err := opts.Check(); err != nil {
		return nil, err
	}
	hello, err := load.Hello(opts.ServerName)
	if err != nil {
		return nil, err
	}
	refused, err := refusals(opts.ServerName)
	if err != nil {
		return nil, err
	}
	// No deadline: a connect that it cuts off would look like one that the target let wait.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer time.AfterFunc(opts.Duration, cancel).Stop()
	r := &run{opts: &opts, began: time.Now(), hello: hello, refused: refused}
	var stopper sync.WaitGroup
	stopper.Go(func() {
		select {
		case <-opts.Stop:
			cancel()
		case <-ctx.Done():
		}
	})
	r.connect(ctx)
	cancel()
	stopper.Wait()
	return r.result(), nil
}

// run is one attack.
type run struct {
	opts     *Options
	began    time.Time
	hello    []byte   // for ServerName
	refused  [][]byte // what is refused, in turn
	counters counters
}

// counters are written by every connection.
type counters struct {
	opened, done, cut, failed, bytes atomic.Uint64
	open, most                       atomic.Int64
	mu                               sync.Mutex
	first                            string // failure
}

// behind is how late the schedule of new connections may be before it starts again: what
// could not be opened while all were in use is not caught up by a burst.
const behind = 100 * time.Millisecond

// connect makes connections by the schedule until ctx ends, and waits for all of them.
func (r *run) connect(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	free := make(chan struct{}, r.opts.Connections)
	clock := pace{rate: r.opts.Rate, saved: behind}
	for n := 0; clock.wait(ctx, 1); n++ {
		select {
		case <-ctx.Done():
			return
		case free <- struct{}{}:
		}
		all.Go(func() {
			defer func() { <-free }()
			r.one(ctx, n)
		})
	}
}

// one is a connection's life.
func (r *run) one(ctx context.Context, n int) {
	c, err := r.dial(ctx)
	if err != nil {
		r.fail(ctx, err)
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r.counters.opened.Add(1)
	open := r.counters.open.Add(1)
	defer r.counters.open.Add(-1)
	for most := r.counters.most.Load(); open > most && !r.counters.most.CompareAndSwap(most, open); {
		most = r.counters.most.Load()
	}
	switch done, err := r.attack(ctx, c, n); {
	case ctx.Err() != nil: // it lasted until the end
	case done:
		r.counters.done.Add(1)
	default:
		r.counters.cut.Add(1)
		r.keep(err)
	}
}

func (r *run) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Control: bindLate}
	if r.opts.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(r.opts.Source, 0))
	}
	return d.DialContext(ctx, "tcp", r.opts.Target.String())
}

// bindLate leaves the choice of a port to connect (IP_BIND_ADDRESS_NO_PORT, Linux 4.2).
// Bind would take one that nobody uses with any target, and run out of them.
func bindLate(_, _ string, c syscall.RawConn) error {
	var err error
	wrong := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if wrong != nil {
		return wrong
	}
	return err
}

// fail counts a connection that could not be made.
func (r *run) fail(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.counters.failed.Add(1)
	r.keep(err)
}

// keep keeps the first error for the result.
func (r *run) keep(err error) {
	r.counters.mu.Lock()
	defer r.counters.mu.Unlock()
	if r.counters.first == "" && err != nil {
		r.counters.first = err.Error()
	}
}
