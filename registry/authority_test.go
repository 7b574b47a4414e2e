package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// gate is a webhook in a test: it allows every instance for which it has no word.
type gate struct {
	mu    sync.Mutex
	words map[vm.InstanceID]error
	asked []string
	hook  func() // nil, or called before each answer
}

func (a *gate) authorize(_ context.Context, q Request) error {
	a.mu.Lock()
	a.asked = append(a.asked, fmt.Sprintf("%s %s %x", q.App, q.Instance, q.Facts.DeviceID))
	err, hook := a.words[q.Instance], a.hook
	a.mu.Unlock()
	if hook != nil {
		hook()
	}
	return err
}

func (a *gate) says(id vm.InstanceID, word error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.words[id] = word
}

// heard returns the questions since its last call.
func (a *gate) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.asked
	a.asked = nil
	slices.Sort(asked)
	return asked
}

var errDeniedHere = fmt.Errorf("%w: the webhook answered with status 403", ErrDenied)

func newGateRig(t testing.TB, change func(*Options)) (*rig, *gate) {
	t.Helper()
	a := &gate{words: make(map[vm.InstanceID]error)}
	return newRig(t, func(o *Options) {
		o.Authorize, o.ProofGrace = a.authorize, 15*time.Minute
		o.RecycleAfter = 1000 * time.Hour
		if change != nil {
			change(o)
		}
	}), a
}

// known is a registration with app info, and a chain to root that ends at until.
func known(app, instance string, root byte, until time.Time) Request {
	q := request(app, instance)
	q.Facts = Facts{DeviceID: []byte{7}}
	q.Proof = Proof{Root: Fingerprint{root}, Until: until}
	return q
}

func inYears() time.Time { return time.Now().Add(10 * 365 * 24 * time.Hour) }

// outOf checks that an instance is refused, has no peer, and stays so over a restart.
func (g *rig) outOf(t *testing.T, id vm.InstanceID, why string) {
	t.Helper()
	for _, when := range []string{"now", "after a restart"} {
		if s, _ := g.board.get(id); s.Refused != why {
			t.Errorf("%s it is published as refused %q, want %q", when, s.Refused, why)
		}
		g.consistent(t)
		g.restart(t)
	}
}

func TestDenialAtARegistrationRefusesTheInstance(t *testing.T) {
	g, webhook := newGateRig(t, nil)
	q := known("app", "one", 1, inYears())
	was := g.register(t, q).Spec
	g.register(t, known("app", "two", 1, inYears()))
	webhook.says("one", errDeniedHere)
	g.refuses(t, q, ErrDenied)
	g.refuses(t, q, ErrDenied)
	if s, _ := g.board.get("two"); s.Refused != "" {
		t.Errorf("a bystander became %+v", s)
	}
	g.outOf(t, "one", "authorization: registration is not authorized: the webhook answered with status 403")
	webhook.says("one", nil)
	if got := g.register(t, q).Spec; got != was {
		t.Errorf("admitted again as %+v, was %+v", got, was)
	}
	g.consistent(t)
	g.restart(t)
	if s, _ := g.board.get("one"); s != was {
		t.Errorf("after a restart it is %+v", s)
	}
}

// The webhook is asked also about an instance that keeps its tunnel up and never registers again.
func TestWebhookIsAskedAgainAboutASilentInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, webhook := newGateRig(t, nil)
		stop := g.run(t)
		silent := known("app", "silent", 1, inYears())
		comes := known("app", "comes", 1, inYears())
		g.register(t, silent)
		g.register(t, comes)
		for range 4 {
			webhook.heard()
			pass(3 * time.Minute)
			g.register(t, comes)
		}
		pass(2 * time.Minute)
		g.register(t, comes)
		webhook.heard()
		pass(62 * time.Second) // 15 minutes after it came
		if got := webhook.heard(); !slices.Equal(got, []string{"app silent 07"}) {
			t.Errorf("asked about %q", got)
		}
		webhook.says("silent", errDeniedHere)
		pass(6 * time.Minute)
		if s, _ := g.board.get("silent"); s.Refused == "" || s.Addr != g.dev.all()[silent.Key] && len(g.dev.all()) != 1 {
			t.Errorf("%+v, %v", s, g.dev.all())
		}
		if s, _ := g.board.get("comes"); s.Refused != "" {
			t.Errorf("a bystander became %+v", s)
		}
		stop()
		g.outOf(t, "silent", "authorization: registration is not authorized: the webhook answered with status 403")
		webhook.heard()
		stop = g.run(t)
		synctest.Wait()
		if got := webhook.heard(); !slices.Equal(got, []string{"app comes 07"}) {
			t.Errorf("after a start it is asked about %q", got)
		}
		stop()
	})
}

func TestErrorOfTheWebhookChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, webhook := newGateRig(t, nil)
		q := known("app", "one", 1, inYears())
		g.register(t, q)
		before := g.board.all()
		webhook.says("one", errors.New("the webhook answered with status 502"))
		g.refuses(t, q, ErrAuthorizer)
		defer g.run(t)()
		pass(10 * time.Minute)
		if fmt.Sprint(g.board.all()) != fmt.Sprint(before) {
			t.Errorf("%v became %v", before, g.board.all())
		}
		if n := len(webhook.heard()); n < 10 {
			t.Errorf("asked %d times in 10 minutes of errors", n)
		}
		webhook.says("one", nil)
		g.register(t, q)
		g.consistent(t)
	})
}

// A denial of a certificate without evidence does not count for an instance that has shown some.
func TestDenialWithoutEvidenceRefusesNoInstance(t *testing.T) {
	g, webhook := newGateRig(t, nil)
	g.register(t, proven("app", "one", "good"))
	was, _ := g.board.get("one")
	webhook.says("one", errDeniedHere)
	thief := request("app", "one")
	thief.Key = key("thief")
	g.refuses(t, thief, ErrNoEvidence)
	other := request("other", "one")
	g.refuses(t, other, ErrDenied)
	if s, _ := g.board.get("one"); s != was {
		t.Errorf("published as %+v", s)
	}
}

// A permission from before a denial does not count after it.
func TestRegistrationThatWasAllowedBeforeADenialIsRefused(t *testing.T) {
	for name, again := range map[string]Request{"as it was": known("app", "one", 1, inYears()), "with another key": func() Request {
		q := known("app", "one", 1, inYears())
		q.Key = key("another")
		return q
	}()} {
		t.Run(name, func(t *testing.T) {
			g, webhook := newGateRig(t, nil)
			g.register(t, known("app", "one", 1, again.Proof.Until))
			webhook.hook = func() {
				webhook.hook = nil
				if err := g.revoke(t.Context(), "one", "authorization: denied"); err != nil {
					t.Error(err)
				}
			}
			g.refuses(t, again, ErrAuthorizer)
			if s, _ := g.board.get("one"); s.Refused == "" {
				t.Errorf("let in as %+v", s)
			}
			g.register(t, again)
			g.consistent(t)
		})
	}
}

func TestInstanceIsRefusedAfterTheGraceOfItsProof(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Duration
		end   func(*rig)
		why   string
	}{
		"its certificate ended": {time.Hour, func(*rig) {}, "certificate: its chain expired at 2000-01-01T01:00:00Z"},
		"its root is gone": {
			10000 * time.Hour, func(g *rig) { g.SetAuthorities([]Fingerprint{{2}}) },
			"certificate: its root is not in force since 2000-01-01T01:00:00Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, _ := newGateRig(t, func(o *Options) { o.Authorize = nil })
				g.SetAuthorities([]Fingerprint{{1}, {2}})
				stop := g.run(t)
				q := known("app", "one", 1, time.Now().Add(c.until))
				was := g.register(t, q).Spec
				g.register(t, known("app", "two", 2, inYears()))
				pass(time.Hour)
				c.end(g)
				pass(2 * time.Minute)
				s := g.Status()[0]
				if s.Refused != "" || !s.Served || s.Ended != c.why || s.RefusedFrom.UTC().Format(time.TimeOnly) != "01:15:00" {
					t.Errorf("in its grace it is %+v", s)
				}
				pass(12 * time.Minute)
				if s := g.Status()[0]; s.Refused != "" {
					t.Errorf("refused early: %+v", s)
				}
				pass(90 * time.Second)
				if s, _ := g.board.get("two"); s.Refused != "" {
					t.Errorf("a bystander became %+v", s)
				}
				stop()
				g.outOf(t, "one", c.why)
				g.SetAuthorities([]Fingerprint{{2}})
				q.Proof = Proof{Root: Fingerprint{2}, Until: inYears()}
				if got := g.register(t, q).Spec; got != was {
					t.Errorf("back as %+v, was %+v", got, was)
				}
				stop = g.run(t)
				pass(time.Hour)
				if s, _ := g.board.get("one"); s != was {
					t.Errorf("with a new chain it is %+v", s)
				}
				stop()
			})
		})
	}
}

// The gateway need not have a webhook, and need not be restarted, for an instance to come back.
func TestInstanceComesBackWithANewProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGateRig(t, func(o *Options) { o.Authorize = nil })
		g.SetAuthorities([]Fingerprint{{1}})
		defer g.run(t)()
		was := g.register(t, known("app", "one", 1, time.Now().Add(time.Hour))).Spec
		pass(2 * time.Hour)
		if s, _ := g.board.get("one"); s.Refused == "" {
			t.Errorf("its chain has expired, but it is %+v", s)
		}
		again := known("app", "one", 1, inYears())
		if got := g.register(t, again).Spec; got != was {
			t.Errorf("back as %+v, was %+v", got, was)
		}
		if g.register(t, again).Changed {
			t.Error("the same registration again is a change")
		}
		g.consistent(t)
	})
}

func TestRegistrationUnderARootInForceKeepsTheInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGateRig(t, nil)
		g.SetAuthorities([]Fingerprint{{1}})
		defer g.run(t)()
		g.register(t, known("app", "one", 1, inYears()))
		g.SetAuthorities([]Fingerprint{{2}})
		pass(10 * time.Minute)
		if got := g.register(t, known("app", "one", 2, inYears())); !got.Changed {
			t.Error("its new chain was not noted")
		}
		pass(time.Hour)
		if s := g.Status()[0]; s.Refused != "" || s.Ended != "" {
			t.Errorf("%+v", s)
		}
	})
}

// Guests come with a new certificate each time: that must not write to the disk each time.
func TestLaterEndOfTheSameChainIsStoredSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newGateRig(t, nil)
		writes := 0
		for range 200 { // 10 hours of certificates for 1 hour
			if g.register(t, known("app", "one", 1, time.Now().Add(time.Hour))).Changed {
				writes++
			}
			wait(3 * time.Minute)
		}
		if writes > 21 {
			t.Errorf("%d writes", writes)
		}
		if got := g.register(t, known("app", "one", 1, time.Now().Add(time.Minute))); !got.Changed {
			t.Error("an earlier end was not noted")
		}
	})
}

func TestRevocationIsInForceThoughItCannotBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, webhook := newGateRig(t, nil)
		q := known("app", "one", 1, inYears())
		g.register(t, q)
		webhook.says("one", errDeniedHere)
		g.o.Store = faultyStore{g.store, &faults{at: 1}}
		g.refuses(t, q, ErrDenied)
		if s, _ := g.board.get("one"); s.Refused == "" || len(g.dev.all()) > 0 {
			t.Errorf("still served: %+v, %v", s, g.dev.all())
		}
		stop := g.run(t)
		pass(2 * time.Minute)
		stop()
		if rec, _ := g.table.stored("one"); rec.Revoked == "" {
			t.Errorf("stored %+v", rec)
		}
		g.consistent(t)
	})
}

// What one gateway takes back, the others do not serve.
func TestGatewaysHeedEachOthersRevocations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, webhook := newGateRig(t, nil)
		b := second(t, a, "10.8.64.0/18")
		defer a.run(t)()
		defer b.run(t)()
		q := known("app", "one", 1, inYears())
		a.register(t, q)
		synctest.Wait()
		webhook.says("one", errDeniedHere)
		a.refuses(t, q, ErrDenied)
		synctest.Wait()
		if s, _ := b.board.get("one"); s.Refused == "" || len(b.dev.all()) > 0 {
			t.Errorf("the other gateway serves %+v", s)
		}
	})
}
