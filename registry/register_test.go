package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sallyport/internal/vm"
	"sallyport/registry/pool"
)

func TestRegisteredInstanceHasPeerAndIsPublished(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	got := g.register(t, q)
	want := vm.Spec{
		ID: "one", App: "app", Key: q.Key, Addr: netip.MustParseAddr("10.8.0.2"), Compose: q.Compose, Policy: vm.OpenPolicy(),
	}
	if got != (Grant{Spec: want, Changed: true}) {
		t.Errorf("granted %+v, want %+v", got, want)
	}
	if s, _ := g.board.get("one"); s != want {
		t.Errorf("published %+v", s)
	}
	if g.dev.all()[q.Key] != want.Addr {
		t.Error("no peer")
	}
	g.restart(t)
	if s, _ := g.board.get("one"); s != want || g.dev.all()[q.Key] != want.Addr {
		t.Errorf("after a restart: %+v, %v", s, g.dev.all())
	}
}

func TestUnchangedRegistrationTouchesNothing(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	first := g.register(t, q)
	_, revision, _ := g.store.List(t.Context(), "")
	device, board := g.dev.calls, g.board.calls
	q.Policy = nil // a guest that does not repeat its policy changes nothing either
	again := g.register(t, q)
	if again.Changed || again.Spec != first.Spec {
		t.Errorf("granted %+v, then %+v", first, again)
	}
	_, now, _ := g.store.List(t.Context(), "")
	if now != revision || g.dev.calls != device || g.board.calls != board {
		t.Errorf("store %d → %d, device %d → %d, data plane %d → %d", revision, now, device, g.dev.calls, board, g.board.calls)
	}
}

func TestNewKeyKeepsAddress(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	first := g.register(t, q)
	old := q.Key
	q.Key = key("another")
	second := g.register(t, q)
	if second.Spec.Addr != first.Spec.Addr || second.Spec.Key != q.Key {
		t.Errorf("granted %+v, then %+v", first, second)
	}
	if peers := g.dev.all(); len(peers) != 1 || peers[q.Key] != first.Spec.Addr {
		t.Errorf("peers %v", peers)
	}
	other := request("app", "two")
	other.Key = old // it is free now
	g.register(t, other)
	g.restart(t)
	g.consistent(t)
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	static := vm.Spec{
		ID: "static", App: "staticapp", Key: key("static"), Addr: netip.MustParseAddr("10.8.0.7"), Policy: vm.OpenPolicy(),
	}
	g := newRig(t, func(o *Options) { o.Static = []vm.Spec{static} })
	g.register(t, request("app", "one"))
	with := func(app, id string, k vm.WGKey) Request {
		q := request(app, id)
		q.Key = k
		return q
	}
	for name, c := range map[string]struct {
		q    Request
		want error
	}{
		"another instance's key":       {with("app", "two", key("one")), ErrKeyTaken},
		"the gateway's key":            {with("app", "two", key("gateway")), ErrOwnKey},
		"a static instance's key":      {with("app", "two", key("static")), ErrKeyTaken},
		"a static instance's id":       {with("app", "static", key("two")), ErrStatic},
		"another app's instance":       {with("other", "one", key("one")), ErrOtherApp},
		"an app's id for an instance":  {with("other", "app", key("two")), ErrName},
		"a static app's id":            {with("other", "staticapp", key("two")), ErrName},
		"a static instance for an app": {with("static", "two", key("two")), ErrName},
		"the own site's name":          {with("gateway", "two", key("two")), ErrInvalid},
		"its other name":               {with("app", "health", key("two")), ErrInvalid},
		"one id for both":              {with("same", "same", key("two")), ErrInvalid},
		"no key":                       {with("app", "two", vm.WGKey{}), ErrInvalid},
		"no app":                       {with("", "two", key("two")), ErrInvalid},
		"no instance":                  {with("app", "", key("two")), ErrInvalid},
		"upper case":                   {with("app", "TWO", key("two")), ErrInvalid},
		"a path":                       {with("app", "../key", key("two")), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) { g.refuses(t, c.q, c.want) })
	}
	if len(g.board.all()) != 2 || len(g.dev.all()) != 2 || g.table.poolStatus().Used != 1 {
		t.Errorf("refusals left something: %v %v %+v", g.board.all(), g.dev.all(), g.table.poolStatus())
	}
	g.register(t, request("app", "two")) // nor have they claimed anything
	g.restart(t)
	g.consistent(t)
}

func TestNodeThatIsDownRefusesRegistrations(t *testing.T) {
	g := newRig(t, nil)
	q := request("app", "one")
	g.register(t, q)
	g.SetDown(true)
	g.refuses(t, q, ErrDown)
	if _, ok := g.board.get("one"); !ok {
		t.Error("the instance that is there was removed")
	}
	g.SetDown(false)
	g.register(t, q)
}

// A stranger may know an app's id and register it as an instance before the app registers. That must
// not keep the app out.
func TestAppIsAdmittedAlthoughAnInstanceHasItsID(t *testing.T) {
	var log bytes.Buffer
	g := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	taker := g.register(t, request("other", "app"))
	if s := g.Status(); s[0].Unnamed != "" {
		t.Errorf("reported before the app is there: %+v", s)
	}
	g.register(t, request("app", "one"))
	if want := "the name leads to the app"; strings.Count(log.String(), want) != 1 {
		t.Errorf("want one line with %q:\n%s", want, &log)
	}
	for _, when := range []string{"now", "after a restart"} {
		for _, s := range g.Status() {
			if !s.Served || (s.Unnamed != "") != (s.Instance == "app") {
				t.Errorf("%s: %+v", when, s)
			}
		}
		if g.register(t, request("other", "app")).Spec.Addr != taker.Spec.Addr || len(g.dev.all()) != 2 {
			t.Errorf("%s: the instance is not served through its app", when)
		}
		q := request("other", "app")
		q.Key = key("new " + when) // it may change, too
		g.register(t, q)
		g.consistent(t)
		g.restart(t)
		taker = g.register(t, request("other", "app"))
	}
}

// An app that has no instance at the moment keeps its name: clients still ask for it, and must not
// reach another app's instance.
func TestInstanceCannotTakeTheNameOfAnAppThatIsGone(t *testing.T) {
	g := newRig(t, nil)
	g.register(t, request("app", "one"))
	g.o.RecycleAfter = -1
	if err := g.sweep(t.Context()); err != nil || len(g.Status()) != 0 {
		t.Fatalf("%v, %+v", err, g.Status())
	}
	for _, when := range []string{"now", "after a restart"} {
		q := request("other", "app")
		if _, err := g.Register(t.Context(), q); !errors.Is(err, ErrName) {
			t.Errorf("%s: %v", when, err)
		}
		g.consistent(t)
		g.restart(t)
	}
	g.register(t, request("app", "one")) // the app itself comes back
	g.consistent(t)
}

func TestUnauthorizedRegistrationIsRefused(t *testing.T) {
	denied := fmt.Errorf("%w: not this one", ErrDenied)
	g := newRig(t, func(o *Options) {
		o.Authorize = func(_ context.Context, q Request) error {
			if q.App == "bad" {
				return denied
			}
			return nil
		}
	})
	g.register(t, request("good", "one"))
	g.refuses(t, request("bad", "two"), ErrDenied)
	g.refuses(t, request("bad", "two"), denied)
}

func TestExhaustedPoolRefusesOnlyNewcomers(t *testing.T) {
	g := newRig(t, func(o *Options) { o.Pool = netip.MustParsePrefix("10.8.0.0/30") }) // .2 and .3
	g.register(t, request("app", "one"))
	g.register(t, request("app", "two"))
	g.refuses(t, request("app", "three"), ErrExhausted)
	g.refuses(t, request("app", "three"), ErrExhausted)
	q := request("app", "one")
	q.Key = key("another")
	g.register(t, q)
	if p := g.table.poolStatus(); p != (pool.Status{Size: 2, Used: 2}) {
		t.Errorf("pool %+v", p)
	}
}

// Instances want the same key at the same time, many times: one of them gets it, and the store has
// the same one.
func TestKeyHasOneHolderUnderConcurrency(t *testing.T) {
	g := newRig(t, nil)
	var wg sync.WaitGroup
	for n := range 8 {
		for _, id := range []string{"a", "b", "c", "d"} {
			q := request("app", id)
			q.Key = key(string(rune('0' + n)))
			wg.Go(func() {
				if _, err := g.Register(t.Context(), q); err != nil && !errors.Is(err, ErrKeyTaken) {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	g.consistent(t)
	g.restart(t)
	g.consistent(t)
}

func TestGuestThatLeavesDoesNotStopAChange(t *testing.T) {
	g := newRig(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	g.dev.before = func(string) error { cancel(); return nil }
	if _, err := g.Register(ctx, request("app", "one")); err != nil {
		t.Fatal(err)
	}
	if _, ok := g.board.get("one"); !ok {
		t.Error("not published")
	}
}
