package guest

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/backoff"
)

// The times of dstack's own guests: gateways are built for that load.
const (
	Every    = 180 * time.Second // registration of a VM whose tunnel works
	Silence  = 180 * time.Second // after so long without a handshake it is forced
	look     = 5 * time.Second   // how often the tunnel is looked at
	retry    = 5 * time.Second   // after a first failure; doubles (dstack begins with 30 s)
	maxRetry = 480 * time.Second
	timeout  = 90 * time.Second // one registration with all gateways
)

// Tunnel is the VM's WireGuard device.
type Tunnel interface {
	// Apply makes the tunnel as g says. force makes it again even if it is so
	// already, with the servers' names resolved again: the tunnel is silent.
	Apply(ctx context.Context, g Grant, force bool) error

	// LastHandshake is the newest of all servers; zero if there was none.
	LastHandshake(ctx context.Context) (time.Time, error)
}

// Agent keeps one VM registered.
type Agent struct {
	// Register asks the gateways, in order; the first that grants wins.
	Register func(ctx context.Context) (Grant, error)
	Tunnel   Tunnel
	Log      *slog.Logger

	grant      Grant
	applied    time.Time // when the tunnel was made as grant says; zero: it is not
	registered time.Time // the last success; zero: none yet
	tried      time.Time // the last attempt
	failures   int       // in a row
}

// Run registers at once, and then looks at the tunnel every few seconds, until ctx
// is done; then it returns nil. A registration that fails is logged and tried again.
func (a *Agent) Run(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if due, force := a.due(ctx); due {
			a.attempt(ctx, force)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// due says whether to register now, and whether by force.
func (a *Agent) due(ctx context.Context) (due, force bool) {
	now := time.Now()
	switch {
	case a.failures > 0:
		return now.Sub(a.tried) >= a.pause(), false
	case a.registered.IsZero():
		return true, false
	case a.silent(ctx, now):
		return true, true
	}
	return now.Sub(a.registered) >= Every, false
}

// silent reports whether no server has shaken hands for too long. A tunnel that was
// just made gets as long for its first handshake.
func (a *Agent) silent(ctx context.Context, now time.Time) bool {
	last, err := a.Tunnel.LastHandshake(ctx)
	if err != nil {
		a.Log.Warn("cannot ask the tunnel for its last handshake", "error", err)
		return false
	}
	if a.applied.After(last) {
		last = a.applied
	}
	return now.Sub(last) >= Silence
}

// attempt registers once and notes how it went.
func (a *Agent) attempt(ctx context.Context, force bool) {
	a.tried = time.Now()
	if err := a.register(ctx, force); err != nil {
		if ctx.Err() != nil {
			return
		}
		a.failures++
		a.Log.Error("registration failed", "error", err, "again_in", a.pause().String())
		return
	}
	a.failures = 0
	a.registered = time.Now()
}

// pause is how long to wait after the last failure.
func (a *Agent) pause() time.Duration { return backoff.Double(retry, maxRetry, a.failures) }

func (a *Agent) register(ctx context.Context, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	g, err := a.Register(ctx)
	if err != nil {
		return err
	}
	same := !a.applied.IsZero() && g.equal(a.grant)
	if same && !force {
		return nil // the tunnel is left alone
	}
	a.applied = time.Time{}
	if err := a.Tunnel.Apply(ctx, g, force); err != nil {
		return fmt.Errorf("make the tunnel: %w", err)
	}
	if !same {
		a.Log.Info("registered", "address", g.Address.String(), "servers", len(g.Servers))
	}
	a.grant, a.applied = g, time.Now()
	return nil
}
