// Package policy fetches the port policy of an instance's compose file from the agent of its
// guest.
//
// What a guest reports about its ports in a registration is its own word, and a guest before
// 0.5.9 reports nothing. The attested word is the compose file's. The agent has it:
// POST http://<address>:8090/prpc/Info?json, through the tunnel, answers with an object whose
// tcb_info is a string of JSON, whose app_compose is the text of the file. The text is accepted if
// its SHA-256 is the attested compose hash, whichever machine answered.
//
// Fetcher (fetcher.go) has the queue and the retries, agent.go the request and its answer.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"sallyport/internal/backoff"
	"sallyport/internal/vm"
)

const (
	fetchRetries  = 5
	fetchPause    = time.Second // before the first retry, doubling
	maxFetchPause = 30 * time.Second
)

// Options are what a Fetcher needs.
type Options struct {
	// Dial connects to a guest through the tunnel. nil: there is none.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)

	// Found stores what the agent of an instance has answered. It is called concurrently, at most
	// once at a time for each instance.
	Found func(ctx context.Context, asked vm.Spec, p vm.PortPolicy) error

	// OpenPrivate takes an agent that does not publish its compose file for one with an open
	// policy. Any guest can answer so.
	OpenPrivate bool

	Max int // guests that are asked at once
	Log *slog.Logger
}

// Fetcher asks guests' agents for their policies. All methods may be called concurrently, Run
// once.
type Fetcher struct {
	o       Options
	agent   *agent
	results *prometheus.CounterVec
	wake    chan struct{} // holds one if queue may not be empty

	mu     sync.Mutex // guards what follows
	queue  []vm.Spec
	wanted map[vm.InstanceID]vm.Spec // in queue, or being fetched
}

// New returns a Fetcher that starts no request before Run.
func New(o Options) *Fetcher {
	return &Fetcher{
		o: o, agent: newAgent(o.Dial), wake: make(chan struct{}, 1), wanted: make(map[vm.InstanceID]vm.Spec),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gateway_port_policy_fetches_total",
			Help: "Port policies asked for from guests that do not report one, by result.",
		}, []string{"result"}),
	}
}

// Collector returns the metric of the fetches by result.
func (f *Fetcher) Collector() prometheus.Collector { return f.results }

// Want asks for the policy of s, once until there is an answer. Asked again with another s, an
// instance drops its earlier question.
func (f *Fetcher) Want(s vm.Spec) {
	f.mu.Lock()
	if f.wanted[s.ID] != s {
		f.wanted[s.ID] = s
		f.queue = append(f.queue, s)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // Run is about to look
	}
}

// Run serves the queue until ctx ends, and then waits for the fetches. It returns nil.
func (f *Fetcher) Run(ctx context.Context) error {
	var running errgroup.Group
	running.SetLimit(f.o.Max)
	for ctx.Err() == nil {
		for _, s := range f.take() {
			running.Go(func() error {
				f.fetch(ctx, s)
				return nil
			})
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
	return running.Wait()
}

// take returns all that is queued.
func (f *Fetcher) take() []vm.Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.queue
	f.queue = nil
	return all
}

// current reports whether s is still wanted: an instance that changes its key again and again
// must not use more than one of the fetches.
func (f *Fetcher) current(s vm.Spec) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted[s.ID] == s
}

func (f *Fetcher) done(s vm.Spec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted[s.ID] == s {
		delete(f.wanted, s.ID)
	}
}

// fetch asks for one policy and stores it. After a failure the guest's next registration asks
// again.
func (f *Fetcher) fetch(ctx context.Context, s vm.Spec) {
	defer f.done(s)
	policy, err := f.retry(ctx, s)
	if errors.Is(err, errOutdated) {
		return
	}
	if err == nil {
		err = f.o.Found(ctx, s, policy)
	}
	if ctx.Err() != nil {
		return
	}
	f.count(err)
	if err != nil {
		f.o.Log.Warn("cannot fetch the port policy: all ports of the instance stay closed; its next registration tries again",
			"instance", string(s.ID), "app", string(s.App), "error", err)
		return
	}
	f.o.Log.Info("port policy fetched", "instance", string(s.ID), "app", string(s.App), "policy", policy.State().String())
}

// errOutdated means that an instance wants another policy by now.
var errOutdated = errors.New("the instance has changed")

// retry asks again while the guest cannot be reached: a tunnel needs a moment.
func (f *Fetcher) retry(ctx context.Context, s vm.Spec) (policy vm.PortPolicy, err error) {
	for n := range fetchRetries + 1 {
		if !f.current(s) {
			return vm.PortPolicy{}, errOutdated
		}
		if policy, err = f.ask(ctx, s); err == nil || isRefused(err) || n == fetchRetries {
			break
		}
		select {
		case <-time.After(backoff.Double(fetchPause, maxFetchPause, n+1)):
		case <-ctx.Done():
		}
	}
	return policy, err
}

// ask asks the agent of an instance. An answer of a guest must not end the process: a panic is a
// refused answer.
func (f *Fetcher) ask(ctx context.Context, s vm.Spec) (_ vm.PortPolicy, err error) {
	defer func() {
		if p := recover(); p != nil {
			f.o.Log.Error("panic while reading the answer of an instance's agent: the answer is refused; please report this",
				"instance", string(s.ID), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = refused("reading the answer panicked")
		}
	}()
	p, err := f.agent.policy(ctx, s.Addr, s.Compose)
	if errors.Is(err, errPrivate) && f.o.OpenPrivate {
		return vm.OpenPolicy(), nil
	}
	return p, err
}

func (f *Fetcher) count(err error) {
	switch {
	case err == nil:
		f.results.WithLabelValues("ok").Inc()
	case isRefused(err):
		f.results.WithLabelValues("refused").Inc()
	default:
		f.results.WithLabelValues("failed").Inc()
	}
}
