package rpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// The way of a connection to the server: accepted at once → a place (places.go) → held, if
// its address is slow (excess.go) → the TLS handshake, its work in fair turns (conn.go) →
// held, if its certificate is beyond its pace → net/http, if the handshake is good.
//
// The kernel's queue of connections is not the place to wait in: what it has no room for
// it drops, strangers and guests alike, and a dropped SYN costs a guest a second.

const (
	handshakeTimeout = 5 * time.Second
	// anonymousLife is for a connection without a certificate, from its handshake on: it
	// gets one answer.
	anonymousLife = 10 * time.Second
	acceptPause   = 50 * time.Millisecond // after a failure, of descriptors as a rule
)

// gate is the listener that net/http sees: it gives connections whose handshake is over.
type gate struct {
	listener net.Listener
	config   *tls.Config
	places   *places
	turns    *turns // of the handshakes' work
	excess   *excess
	log      *slog.Logger
	metrics  metrics

	live    chan struct{} // one per connection that may still hold a descriptor
	ready   chan net.Conn
	closed  chan struct{}
	close   sync.Once
	err     error // of close
	running sync.WaitGroup
}

// slack is how many connections may be on their way out while n are open.
func slack(n int) int { return max(2, n/16) }

func newGate(l net.Listener, config *tls.Config, o Options, workers int, m metrics) *gate {
	return &gate{
		listener: l, config: config, log: o.Log, metrics: m,
		places: newPlaces(max(1, o.MaxConnections-slack(o.MaxConnections)), o.MaxPerSource),
		turns:  newTurns(workers), excess: newExcess(),
		live:  make(chan struct{}, o.MaxConnections),
		ready: make(chan net.Conn), closed: make(chan struct{}),
	}
}

// run accepts until the listener fails or the gate is closed, and waits for the
// handshakes that it has begun.
func (g *gate) run() (err error) {
	defer g.running.Wait()
	for failing := false; ; {
		select {
		case g.live <- struct{}{}:
		case <-g.closed:
			return nil
		}
		raw, err := g.listener.Accept()
		if err != nil {
			<-g.live
			if !g.pause(err) {
				return g.end(err)
			}
			if !failing {
				g.log.Warn("cannot accept connections of guests; will retry", "error", err)
			}
			failing = true
			continue
		}
		failing = false
		c := newConn(raw, g)
		g.drop(g.places.enter(c, time.Now()))
		g.running.Go(func() { g.admit(c) })
	}
}

// pause waits after a failure that may pass, and reports whether it is one.
func (g *gate) pause(err error) bool {
	if ne, ok := errors.AsType[net.Error](err); !ok || errors.Is(ne, net.ErrClosed) || !temporary(ne) {
		return false
	}
	t := time.NewTimer(acceptPause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.closed:
		return false
	}
}

// temporary reports whether accept may go well again, as after "too many open files".
// The method is deprecated for want of a definition; for accept it has one.
func temporary(err net.Error) bool { return err.Temporary() } //nolint:staticcheck // see above

func (g *gate) end(err error) error {
	select {
	case <-g.closed:
		return nil
	default:
		return err
	}
}

// drop closes the connection that has lost its place.
func (g *gate) drop(c *conn) {
	if c == nil || c.isClosed() {
		return
	}
	g.metrics.refused.WithLabelValues(c.class.String()).Inc()
	_ = c.Close()
}

// admit does c's handshake, and hands it to net/http.
func (g *gate) admit(c *conn) {
	handed := false
	defer func() {
		if p := recover(); p != nil {
			g.log.Error("a handshake ended in a panic: please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
		if !handed {
			_ = c.Close()
			c.gone()
		}
	}()
	select {
	case <-g.closed: // after Close has listed the handshakes
		return
	default:
	}
	if !c.hold(g.excess.delay(c.source, time.Now())) {
		return
	}
	t := tls.Server(c, g.config)
	if err := c.shake(t); err != nil {
		g.log.Debug("a guest's handshake failed", "source", c.RemoteAddr(), "error", err)
		return
	}
	if state := t.ConnectionState(); len(state.VerifiedChains) > 0 {
		authority, who := holderOf(&state)
		c.limit(0)
		wait, ok := g.excess.take(c.source, who, time.Now())
		if !ok {
			g.metrics.refused.WithLabelValues(certified.String()).Inc()
			return
		}
		if !c.hold(wait) {
			return
		}
		out := g.places.certify(c, authority, who, time.Now())
		if g.drop(out); out == c {
			return
		}
	} else {
		c.limit(anonymousLife)
	}
	select {
	case g.ready <- t:
		handed = true
	case <-g.closed:
	case <-c.closed:
	}
}

// holderOf returns the holder of a certificate: it, and the key that has signed it, which
// dstack's KMS has one of for each app.
func holderOf(state *tls.ConnectionState) (authority, who any) {
	chain := state.VerifiedChains[0]
	leaf := digestOf(chain[0].Raw)
	if len(chain) < 2 {
		return leaf, leaf
	}
	return digestOf(chain[1].RawSubjectPublicKeyInfo), leaf
}

// Accept gives the next connection whose handshake is over.
func (g *gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept, run and the handshakes.
func (g *gate) Close() error {
	g.close.Do(func() {
		close(g.closed)
		g.err = g.listener.Close()
		for _, c := range g.places.shaking() {
			_ = c.Close()
		}
	})
	return g.err
}

func (g *gate) Addr() net.Addr { return g.listener.Addr() }

// serve runs srv behind the gate until ctx ends.
func (g *gate) serve(ctx context.Context, srv interface{ Serve(net.Listener) error }) error {
	accepting := make(chan error, 1)
	go func() {
		err := g.run()
		_ = g.Close()
		accepting <- err
	}()
	served := srv.Serve(g)
	if err := <-accepting; err != nil && ctx.Err() == nil {
		return err
	}
	return served
}
