package rpc

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// What the guest agent says about this CVM, at /.dstack/app-info.
//
// Anybody may ask. The agent answers one caller after the other, and the gateway needs it
// for its certificates: so it is asked by one request at a time, and what it says, a
// failure too, is given to all for infoFreshness. Of those that come while it is being
// asked, maxInfoWaiters wait.
const (
	infoFreshness  = 10 * time.Second
	infoTimeout    = 10 * time.Second
	maxInfoWaiters = 64
)

// appInfo keeps the answer.
type appInfo struct {
	ask     func(ctx context.Context) ([]byte, error) // nil: there is no agent
	last    atomic.Pointer[infoAnswer]
	turn    chan struct{} // holds one while the agent is being asked
	waiters chan struct{} // one for each request that waits or asks
}

type infoAnswer struct {
	body []byte
	err  error
	made time.Time
}

func newAppInfo(agent string) *appInfo {
	a := &appInfo{turn: make(chan struct{}, 1), waiters: make(chan struct{}, maxInfoWaiters)}
	if agent != "" {
		a.ask = newAgentSource(Agent{Socket: agent}).info
	}
	return a
}

var errInfoBusy = errors.New("too many ask at once: try again later")

// serve is the page.
func (a *appInfo) serve(w http.ResponseWriter, r *http.Request) {
	if a.ask == nil {
		http.Error(w, "this gateway does not run in a CVM: it has no guest agent", http.StatusNotFound)
		return
	}
	switch body, err := a.answer(r.Context()); {
	case errors.Is(err, errInfoBusy):
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case err != nil:
		http.Error(w, "the guest agent does not answer", http.StatusBadGateway)
	default:
		writeJSON(w, body)
	}
}

// answer is what the agent said last, or says now.
func (a *appInfo) answer(ctx context.Context) ([]byte, error) {
	if known := a.fresh(); known != nil {
		return known.body, known.err
	}
	select {
	case a.waiters <- struct{}{}:
		defer func() { <-a.waiters }()
	default:
		return nil, errInfoBusy
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if known := a.fresh(); known != nil { // the turn before has asked
		return known.body, known.err
	}
	// Not the request's own time: a client that hangs up must not leave a failure to the others.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), infoTimeout)
	defer cancel()
	body, err := a.ask(ctx)
	a.last.Store(&infoAnswer{body, err, time.Now()})
	return body, err
}

// fresh is the last answer, nil if that is too old.
func (a *appInfo) fresh() *infoAnswer {
	if known := a.last.Load(); known != nil && time.Since(known.made) < infoFreshness {
		return known
	}
	return nil
}
