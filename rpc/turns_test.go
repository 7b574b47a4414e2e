package rpc

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Who waits is named "network address number".
func TestTurnsGoRoundNetworksAndAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		turns.enter(nil, "x", "x")
		var order []string
		for who := range strings.SplitSeq("a1 1,a1 2,a1 3,a2 1,b1 1,b1 2,c1 1", ",") {
			go func() {
				turns.enter(nil, who[:1], who[:2])
				order = append(order, who)
				turns.leave()
			}()
			synctest.Wait()
		}
		turns.leave()
		synctest.Wait()
		want := strings.Split("a1 1,b1 1,c1 1,a2 1,b1 2,a1 2,a1 3", ",")
		if !slices.Equal(order, want) {
			t.Errorf("%q\nwant %q", order, want)
		}
		if turns.free != 1 || turns.root.order.Len() != 0 || len(turns.root.places) != 0 {
			t.Errorf("%d turns are free, %d networks are left", turns.free, turns.root.order.Len())
		}
	})
}

func TestWaiterThatLeavesTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		turns.enter(nil, "x", "x")
		gone, results := make(chan struct{}), make(chan bool, 3)
		for _, c := range []chan struct{}{gone, nil, gone} {
			go func() { results <- turns.enter(c, "a", "b") }()
			synctest.Wait()
		}
		close(gone)
		if first, second := <-results, <-results; first || second {
			t.Error("who is gone got a turn")
		}
		turns.leave()
		if !<-results {
			t.Error("who stayed got none")
		}
		turns.leave()
		if turns.free != 1 || len(turns.root.places) != 0 {
			t.Errorf("%d turns are free", turns.free)
		}
	})
}

// The turn may come in the moment in which its caller goes: it is passed on.
func TestTurnIsNotLostBetweenGrantAndGoing(t *testing.T) {
	turns := newTurns(2)
	for range 2000 {
		gone := make(chan struct{})
		turns.enter(nil, 1)
		turns.enter(nil, 1)
		ended := make(chan struct{})
		go func() {
			if turns.enter(gone, 2) {
				turns.leave()
			}
			close(ended)
		}()
		go close(gone)
		turns.leave()
		turns.leave()
		<-ended
		if turns.free != 2 {
			t.Fatalf("%d turns are free", turns.free)
		}
	}
}

func TestCallsOfACertificateArePaced(t *testing.T) {
	p, now := newPace(), time.Unix(1_700_000_000, 0)
	for i := range callBurst + 3 {
		wait, ok := p.take("a", now)
		if want := max(0, time.Duration(i+1-callBurst)*callInterval); !ok || wait != want {
			t.Errorf("call %d waits %v, %v; want %v", i, wait, ok, want)
		}
	}
	if wait, ok := p.take("b", now); !ok || wait != 0 {
		t.Errorf("another certificate waits %v", wait)
	}
	refused := false
	for range 100 {
		if _, ok := p.take("a", now); !ok {
			refused = true
		}
	}
	if !refused {
		t.Error("calls wait without an end")
	}
	if wait, ok := p.take("a", now.Add(time.Minute)); !ok || wait != 0 {
		t.Errorf("after a minute it waits %v, %v", wait, ok)
	}
}

func TestPaceForgetsCertificates(t *testing.T) {
	p, now := newPace(), time.Unix(1_700_000_000, 0)
	for i := range 10_000 {
		p.take(i, now.Add(time.Duration(i)*time.Second))
	}
	if len(p.next) > 1024 {
		t.Errorf("%d are remembered", len(p.next))
	}
}
