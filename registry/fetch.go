package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/backoff"
	"sallyport/internal/vm"
)

// fetcher holds which instances' policies are wanted.
type fetcher struct {
	agent *agent
	wake  chan struct{} // holds one if queue may not be empty

	mu     sync.Mutex // guards what follows
	queue  []vm.Spec
	wanted map[vm.InstanceID]vm.Spec // in queue, or being fetched
}

func newFetcher(tunnel Tunnel) *fetcher {
	return &fetcher{agent: newAgent(tunnel), wake: make(chan struct{}, 1), wanted: make(map[vm.InstanceID]vm.Spec)}
}

// fetchIfUnknown has the policy of an instance's compose file fetched. Until then it allows
// nothing. An operator's policy needs no other beside it, and a refused instance
// cannot be asked.
func (r *Registry) fetchIfUnknown(s vm.Spec) {
	if s.Policy.State() == vm.PolicyUnknown && s.Refused == "" {
		r.fetcher.want(s)
	}
}

// want asks for a policy, once until the answer is there.
func (f *fetcher) want(s vm.Spec) {
	f.mu.Lock()
	if f.wanted[s.ID] != s {
		f.wanted[s.ID] = s
		f.queue = append(f.queue, s)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it is about to look
	}
}

// take returns all that is queued.
func (f *fetcher) take() []vm.Spec {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.queue
	f.queue = nil
	return all
}

// current reports whether s is still asked for: an instance that changes its key again
// and again must not hold more than one place.
func (f *fetcher) current(s vm.Spec) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted[s.ID] == s
}

func (f *fetcher) done(s vm.Spec) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted[s.ID] == s {
		delete(f.wanted, s.ID)
	}
}

// fetchAll serves the queue until ctx ends, and then waits for the fetches.
func (r *Registry) fetchAll(ctx context.Context) error {
	var running errgroup.Group
	running.SetLimit(r.o.MaxFetches)
	for ctx.Err() == nil {
		for _, s := range r.fetcher.take() {
			running.Go(func() error {
				r.fetch(ctx, s)
				return nil
			})
		}
		select {
		case <-r.fetcher.wake:
		case <-ctx.Done():
		}
	}
	return running.Wait()
}

// fetch asks one guest, again while it cannot be reached: a tunnel needs a moment. When
// it gives up, the guest's next registration begins anew.
func (r *Registry) fetch(ctx context.Context, s vm.Spec) {
	defer r.fetcher.done(s)
	var policy vm.PortPolicy
	var err error
	for n := range fetchRetries + 1 {
		if !r.fetcher.current(s) {
			return
		}
		if policy, err = r.askForPolicy(ctx, s); err == nil || isRefused(err) {
			break
		}
		if n < fetchRetries {
			pause(ctx, backoff.Double(fetchPause, maxFetchPause, n+1))
		}
	}
	if err == nil {
		err = r.setPolicy(ctx, s, policy)
	}
	if ctx.Err() != nil {
		return
	}
	r.metrics.fetched(err)
	if err != nil {
		r.o.Log.Warn("port policy is unknown: no port of the instance can be reached", "instance", string(s.ID), "app", string(s.App), "error", err)
		return
	}
	r.o.Log.Info("port policy fetched", "instance", string(s.ID), "app", string(s.App), "policy", policy.State().String())
}

// askForPolicy asks the agent of an instance. What a guest answers must not end the
// process: a panic is a refused answer.
func (r *Registry) askForPolicy(ctx context.Context, s vm.Spec) (_ vm.PortPolicy, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Log.Error("panic; an instance's answer is refused, please report it",
				"instance", string(s.ID), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = refused("the answer met a bug")
		}
	}()
	p, err := r.fetcher.agent.policy(ctx, s.Addr, s.Compose)
	if errors.Is(err, errPrivate) && r.o.OpenPrivate {
		return vm.OpenPolicy(), nil
	}
	return p, err
}
