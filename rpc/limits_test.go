package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// state is a connection that a handshake has verified.
func (w *world) state() *tls.ConnectionState {
	return &tls.ConnectionState{
		PeerCertificates: []*x509.Certificate{w.guest.Leaf, w.app.cert}, VerifiedChains: [][]*x509.Certificate{{w.guest.Leaf, w.root.cert}},
	}
}

func TestCallsBeyondTheLimitWaitForTheirTurn(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	w := newWorld(t, func(o *Options) { o.MaxRequests = 2 })
	started, release := make(chan struct{}, 5), make(chan struct{})
	w.registrar.hook = func() {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		started <- struct{}{}
		<-release
		mu.Lock()
		running--
		mu.Unlock()
	}
	var calls sync.WaitGroup
	for range 5 {
		calls.Go(func() {
			if a := w.direct(t.Context(), w.state(), "/prpc/RegisterCvm?json", guests[0].body); a.Code != 200 {
				t.Errorf("status %d: %s", a.Code, a.Body)
			}
		})
	}
	<-started
	<-started
	close(release)
	calls.Wait()
	if most != 2 {
		t.Errorf("%d at once, want 2", most)
	}
}

func TestCallWithoutATurnIsAskedToRetry(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxRequests = 1 })
	synctest.Test(t, func(t *testing.T) {
		w.guest = w.app.guest(t, "app1", "inst1") // valid in the bubble
		w.server.turns = newTurns(1)
		w.server.turns.enter(nil)
		began := time.Now()
		a := w.direct(t.Context(), w.state(), "/prpc/RegisterCvm?json", guests[0].body)
		if a.Code != 503 || time.Since(began) != callTimeout {
			t.Errorf("status %d after %v: %s", a.Code, time.Since(began), a.Body)
		}
	})
}

func TestCallEndsInTimeForTheGuest(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Identify = func(ctx context.Context, _ *tls.ConnectionState) (Caller, error) {
			<-ctx.Done()
			return Caller{}, ctx.Err()
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w.guest = w.app.guest(t, "app1", "inst1") // valid in the bubble
		w.server.turns = newTurns(1)
		began := time.Now()
		a := w.direct(t.Context(), w.state(), "/prpc/RegisterCvm?json", guests[0].body)
		if a.Code != 400 || time.Since(began) >= 60*time.Second { // when a guest gives up
			t.Errorf("status %d after %v", a.Code, time.Since(began))
		}
	})
}

func TestServerThatStopsFinishesItsCalls(t *testing.T) {
	w := newWorld(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- w.server.Serve(ctx, l) }()
	w.registrar.hook = stop
	w.addr = l.Addr().String()
	if a := w.send(t, &w.guest, post("/prpc/RegisterCvm?json", guests[0].body)); a.status != 200 {
		t.Errorf("status %d: %s", a.status, a.body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", w.addr); err == nil {
		t.Error("still listening")
	}
}

func TestListenerThatFailsEndsServe(t *testing.T) {
	w := newWorld(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := w.server.Serve(t.Context(), l); err == nil {
		t.Error("no error")
	}
}
