package registry

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
)

// oldGuest registers an instance that reports no policy, at a gateway that runs.
func oldGuest(t testing.TB, a *gwtest.Agent, file string) (g *rig, stop func()) {
	t.Helper()
	g = newRig(t, func(o *Options) { o.Tunnel = &device{dial: a.Dial} })
	stop = g.run(t)
	q := request("app", "one")
	q.Policy, q.Compose = nil, compose(file)
	if s := g.register(t, q).Spec; s.Policy.State() != vm.PolicyUnknown || g.policy(t, "one").Allows(80) {
		t.Error("ports are open before the policy is known")
	}
	return g, stop
}

func TestPolicyIsFetchedFromAnOldGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := `{"port_policy":{"restrict_mode":true,"ports":[{"port":80}]}}`
		agent := &gwtest.Agent{Answer: gwtest.AgentSays(gwtest.AgentInfo(t, file))}
		g, stop := oldGuest(t, agent, file)
		synctest.Wait()
		if g.policy(t, "one") != restricted(t, 80) {
			t.Errorf("policy %v", g.policy(t, "one").State())
		}
		if to := agent.Dialed.Load(); to != netip.MustParseAddrPort("10.8.0.2:8090") {
			t.Errorf("asked at %v", to)
		}
		q := request("app", "one")
		q.Policy, q.Compose = nil, compose(file)
		if g.register(t, q).Changed || agent.Asked.Load() != 1 {
			t.Error("asked again")
		}
		stop()
		g.restart(t)
		if g.policy(t, "one") != restricted(t, 80) {
			t.Error("lost by a restart")
		}
		q.Compose = compose("another")
		if g.register(t, q); g.policy(t, "one").State() != vm.PolicyUnknown {
			t.Error("the policy of another compose file is still in force")
		}
	})
}

// The report is the guest's word, the compose file the attested one.
func TestReportOnlyNarrowsTheComposeFile(t *testing.T) {
	listed := `{"port_policy":{"restrict_mode":true,"ports":[{"port":80},{"port":443}]}}`
	for name, c := range map[string]struct {
		file         string
		report, want vm.PortPolicy
	}{
		"an open report":                  {listed, vm.OpenPolicy(), restricted(t, 80, 443)},
		"one with another port":           {listed, restricted(t, 80, 22), restricted(t, 80)},
		"a restricted one of an open app": {`{}`, restricted(t, 22), restricted(t, 22)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := &gwtest.Agent{Answer: gwtest.AgentSays(gwtest.AgentInfo(t, c.file))}
				g := newRig(t, func(o *Options) { o.Tunnel = &device{dial: agent.Dial} })
				q := request("app", "one")
				q.Policy, q.Compose = &c.report, compose(c.file)
				g.register(t, q)
				if g.policy(t, "one").State() != vm.PolicyUnknown {
					t.Errorf("before the compose file is known: %v", g.policy(t, "one").Rules())
				}
				stop := g.run(t)
				synctest.Wait()
				stop()
				if g.policy(t, "one") != c.want {
					t.Errorf("in force: %v %v", g.policy(t, "one").State(), g.policy(t, "one").Rules())
				}
				g.restart(t)
				if g.policy(t, "one") != c.want || g.register(t, q).Changed {
					t.Errorf("after a restart: %v %v", g.policy(t, "one").State(), g.policy(t, "one").Rules())
				}
				none := q
				none.Policy = nil
				if g.register(t, none); g.policy(t, "one") != c.want {
					t.Errorf("without a report: %v", g.policy(t, "one").Rules())
				}
			})
		})
	}
}

func TestComposeFileThatIsKeptToItselfOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, opens := range []bool{false, true} {
			agent := &gwtest.Agent{Answer: gwtest.AgentSays(`{"tcb_info":""}`)}
			g := newRig(t, func(o *Options) { o.OpenPrivate, o.Tunnel = opens, &device{dial: agent.Dial} })
			q := request("app", "one")
			report := restricted(t, 80)
			q.Policy, q.Compose = &report, compose("secret")
			stop := g.run(t)
			g.register(t, q)
			wait(time.Minute)
			stop()
			if p := g.policy(t, "one"); p.Allows(80) != opens || p.Allows(22) || agent.Asked.Load() != 1 {
				t.Errorf("private_compose opens: %v, policy %v %v", opens, p.State(), p.Rules())
			}
		}
	})
}

func TestAnswerForAnotherComposeFileIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &gwtest.Agent{Answer: gwtest.AgentSays(gwtest.AgentInfo(t, `{"port_policy":null}`))}
		g, stop := oldGuest(t, agent, `{"port_policy":{"restrict_mode":true}}`)
		defer stop()
		wait(5 * time.Minute)
		if g.policy(t, "one").State() != vm.PolicyUnknown || agent.Asked.Load() != 1 {
			t.Errorf("policy %v after %d questions", g.policy(t, "one").State(), agent.Asked.Load())
		}
	})
}

// An answer that comes after the guest has registered with another compose file is of
// the past.
func TestLateAnswerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *rig
		registered := make(chan struct{})
		agent := &gwtest.Agent{Answer: func(n int32, w io.Writer) error {
			if n > 1 {
				return errors.New("silence")
			}
			<-registered
			return gwtest.AgentSays(gwtest.AgentInfo(t, `{}`))(n, w)
		}}
		g, stop := oldGuest(t, agent, `{}`)
		defer stop()
		synctest.Wait()
		q := request("app", "one")
		q.Policy, q.Compose = nil, compose("another")
		g.register(t, q)
		close(registered)
		synctest.Wait()
		if p := g.policy(t, "one"); p.State() != vm.PolicyUnknown {
			t.Errorf("policy %v", p.State())
		}
	})
}
