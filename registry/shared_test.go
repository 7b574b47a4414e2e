package registry

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// second opens another gateway on the store of g.
func second(t testing.TB, g *rig, pool string) *rig {
	t.Helper()
	b := &rig{opts: g.opts, store: g.store, path: g.path, dev: newDevice(), board: newBoard()}
	b.opts.Node, b.opts.OwnKey = "second", key("second gateway")
	b.opts.Network = netip.MustParsePrefix("10.8.64.1/16")
	b.opts.Pool = netip.MustParsePrefix(pool)
	b.opts.Tunnel, b.opts.Publisher = b.dev, b.board
	var err error
	if b.Registry, err = Open(t.Context(), b.opts); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGatewaysLearnOfEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newRig(t, nil)
		b := second(t, a, "10.8.64.0/18")
		defer a.run(t)()
		defer b.run(t)()

		q := request("app", "one")
		here := a.register(t, q)
		synctest.Wait()
		if s, _ := b.board.get("one"); s != here.Spec || b.dev.all()[q.Key] != s.Addr {
			t.Errorf("the other gateway has %+v, %v", s, b.dev.all())
		}
		there := b.register(t, q) // the guest fails over: same address, nothing for clients changes
		if there.Spec != here.Spec {
			t.Errorf("granted %+v, then %+v", here.Spec, there.Spec)
		}
		q.Key = key("another")
		b.register(t, q)
		mine := restricted(t, 22)
		if err := b.SetOverride(t.Context(), "one", &mine); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s, _ := a.board.get("one"); s.Key != q.Key || s.Policy != mine || len(a.dev.all()) != 1 {
			t.Errorf("the first gateway has %+v, %v", s, a.dev.all())
		}
		other := request("app", "two")
		other.Key = q.Key
		a.refuses(t, other, ErrKeyTaken)

		other.Key = key("second gateway") // the first does not know whose that is
		a.register(t, other)
		synctest.Wait()
		if _, ok := b.board.get("two"); ok {
			t.Error("an instance with the gateway's own key is published")
		}

		wait(11 * time.Hour) // it registered with b last
		if len(a.board.all())+len(b.board.all())+len(a.dev.all())+len(b.dev.all()) != 0 {
			t.Error("not recycled everywhere")
		}
	})
}

// Neither gateway runs: each learns of the other by the conflict alone.
func TestGatewaysThatDoNotKnowOfEachOtherGiveNothingTwice(t *testing.T) {
	for name, pool := range map[string]string{"own pools": "10.8.64.0/18", "one pool, by mistake": "10.8.0.0/18"} {
		t.Run(name, func(t *testing.T) {
			a := newRig(t, nil)
			b := second(t, a, pool)
			q := request("app", "one")
			here := a.register(t, q)
			if there := b.register(t, q); there.Spec.Addr != here.Spec.Addr {
				t.Errorf("one instance has %s and %s", here.Spec.Addr, there.Spec.Addr)
			}
			thief := request("app", "thief")
			a.register(t, request("app", "two"))
			thief.Key = key("two")
			b.refuses(t, thief, ErrKeyTaken)
			for _, id := range []string{"x1", "x2", "x3"} {
				b.register(t, request("app", id))
				a.register(t, request("app", id+"a"))
			}
			addrs := make(map[netip.Addr]vm.InstanceID)
			for _, r := range []*rig{a, b} {
				for id, s := range r.board.all() {
					if other, taken := addrs[s.Addr]; taken && other != id {
						t.Errorf("%s and %s have %s", id, other, s.Addr)
					}
					addrs[s.Addr] = id
				}
			}
			a.consistent(t)
		})
	}
}

// forgetful is a store that no longer knows the changes up to a revision.
type forgetful struct {
	store.Store
	lost int64
}

func (s forgetful) Watch(ctx context.Context, after int64) iter.Seq2[store.Event, error] {
	if after >= s.lost {
		return s.Store.Watch(ctx, after)
	}
	return func(yield func(store.Event, error) bool) { yield(store.Event{}, store.ErrCompacted) }
}

func TestGatewayThatLostHistoryLooksAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newRig(t, nil)
		a.register(t, request("app", "old"))
		b := second(t, a, "10.8.64.0/18")
		a.register(t, request("app", "one"))
		wait(11 * time.Hour)
		a.register(t, request("app", "one"))
		if err := a.sweep(t.Context()); err != nil { // of "old"
			t.Fatal(err)
		}
		_, revision, _ := a.store.List(t.Context(), "")
		b.o.Store = forgetful{b.store, revision}
		defer b.run(t)()
		wait(time.Second)
		if all := b.board.all(); len(all) != 1 || all["one"].Addr != netip.MustParseAddr("10.8.0.3") || len(b.dev.all()) != 1 {
			t.Errorf("it has %v, %v", all, b.dev.all())
		}
	})
}

func TestInstancesThatNoLongerFitAreKeptAside(t *testing.T) {
	g := newRig(t, nil)
	for _, id := range []string{"one", "two", "three", "four"} {
		g.register(t, request("app", id))
	}
	g.opts.Static = []vm.Spec{ // the operator's word counts more
		{ID: "static1", App: "s", Key: key("one"), Addr: netip.MustParseAddr("10.8.0.100")},
		{ID: "two", App: "s", Key: key("static2"), Addr: netip.MustParseAddr("10.8.0.101")},
		{ID: "static3", App: "s", Key: key("static3"), Addr: netip.MustParseAddr("10.8.0.4")}, // three's
	}
	g.restart(t)
	if all := g.board.all(); len(all) != 4 || all["two"].App != "s" || all["four"].App != "app" {
		t.Errorf("published %v", all)
	}
	for _, s := range g.Status() {
		if s.Served != (s.Instance == "four") || (s.Problem == "") != s.Served {
			t.Errorf("%+v", s)
		}
	}
	g.refuses(t, request("app", "one"), ErrKeyTaken)
	g.refuses(t, request("app", "two"), ErrStatic)
	if a := g.register(t, request("app", "three")).Spec.Addr; a != netip.MustParseAddr("10.8.0.6") {
		t.Errorf("moved to %s", a)
	}
	g.consistent(t)
}

// A device that outlives the process still has the peers of then.
func TestPeersOfAnEarlierProcessAreCleared(t *testing.T) {
	g := newRig(t, nil)
	g.register(t, request("app", "one"))
	g.register(t, request("app", "two"))
	dev := g.dev
	g.opts.Static = []vm.Spec{{ID: "static", App: "s", Key: key("static"), Addr: netip.MustParseAddr("10.8.0.2")}} // one's
	g.opts.Tunnel, g.opts.Publisher = dev, newBoard()
	var err error
	if g.Registry, err = Open(t.Context(), g.opts); err != nil {
		t.Fatal(err)
	}
	if peers := dev.all(); len(peers) != 2 || peers[key("static")] != g.opts.Static[0].Addr {
		t.Errorf("peers %v", peers)
	}
	if a := g.register(t, request("app", "one")).Spec.Addr; a != netip.MustParseAddr("10.8.0.4") {
		t.Errorf("moved to %s", a)
	}
}

func TestStartGoesOnWithoutAPeerThatFails(t *testing.T) {
	g := newRig(t, nil)
	g.register(t, request("app", "one"))
	g.register(t, request("app", "two"))
	stuck := errors.New("no room")
	dev, board := newDevice(), newBoard()
	dev.before = func(call string) error {
		if call == "set peer" && len(dev.all()) == 1 {
			return stuck
		}
		return nil
	}
	g.dev, g.board, g.opts.Tunnel, g.opts.Publisher = dev, board, dev, board
	var err error
	if g.Registry, err = Open(t.Context(), g.opts); err != nil {
		t.Fatal(err)
	}
	if all := board.all(); len(all) != 1 || all["one"].ID != "one" {
		t.Errorf("published %v", all)
	}
	g.refuses(t, request("app", "two"), ErrPeer)
	dev.before = nil
	g.register(t, request("app", "two"))
	g.consistent(t)
}
