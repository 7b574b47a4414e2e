package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// An instance whose last handshake is too old gets nothing, and is back with its
// next handshake.
func TestInstanceWithTooOldAHandshakeGetsNothingUntilTheNext(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"health.max_handshake_age", "5s"})
	w.flow(modes[0]).mustEcho(t)

	g.waitFor("both instances to be down", `gateway_instances{state="down"}`, 2)
	for _, m := range []string{"80s", "80"} {
		c := w.dial()
		mustWrite(t, c, helloFor(name("alpha", m)))
		wantAlert(t, c, internalError)
		byID := w.dial()
		mustWrite(t, byID, helloFor(name("i1", m)))
		wantAlert(t, byID, internalError)
	}
	g.waitFor("the reason", `gateway_connections_total{reason="no_healthy_instance"}`, 4)

	w.cvms[0].tunnel.Signal(t, syscall.SIGKILL)
	if err := w.cvms[0].tunnel.Wait(patience); err == nil {
		t.Error("the tunnel ended by itself")
	}
	w.cvms[0].shakeHands(t)
	g.waitForHealthy(1)
	w.flow(modes[0]).mustEcho(t)
}

// Two instances of one app. One vanishes without a word to anybody, and who
// comes next is served by the other in less than a second.
func TestClientsOfAVanishedInstanceAreServedByTheOther(t *testing.T) {
	for _, tt := range []struct {
		name   string
		vanish func(t *testing.T, w *world)
	}{
		{"TunnelKilled", func(t *testing.T, w *world) { w.cvms[0].tunnel.Signal(t, syscall.SIGKILL) }},
		{"CableCut", func(t *testing.T, w *world) { w.cvms[0].host.Unplug(t, "eth0") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.cvms[1].app = "alpha"
			w.start()
			for _, c := range w.cvms {
				c.answerWithID(t, ":443")
			}
			seen := map[string]int{}
			for range 40 {
				id, _ := w.ask(t)
				seen[id]++
			}
			if seen["i1"] == 0 || seen["i2"] == 0 {
				t.Fatalf("before: %v", seen)
			}

			tt.vanish(t, w)
			for range 30 {
				id, took := w.ask(t)
				if id != "i2" || took > time.Second {
					t.Errorf("served by %q in %s", id, took)
				}
			}
		})
	}
}

// Both are gone: the client is told so, within the limit of connect.
func TestClientsOfAnAppThatVanishedGetAnAlert(t *testing.T) {
	w := newWorld(t)
	w.cvms[1].app = "alpha"
	const connect = 2 * time.Second
	w.start(setting{"proxy.timeouts.connect", connect.String()})
	for _, c := range w.cvms {
		c.host.Unplug(t, "eth0")
	}
	for _, suffix := range []string{"80s", "80"} {
		c := w.dial()
		start := time.Now()
		mustWrite(t, c, helloFor(name("alpha", suffix)))
		wantAlert(t, c, internalError)
		if took := time.Since(start); took > connect+time.Second {
			t.Errorf("%s: told after %s, connect is %s", suffix, took, connect)
		}
	}
}

// An instance without its server is no reason to wait: it refuses at once, and
// the other one is asked at once.
func TestInstanceThatRefusesIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.cvms[1].app = "alpha"
	w.start()
	w.cvms[1].answerWithID(t, ":443")
	for range 20 {
		if id, took := w.ask(t); id != "i2" || took > time.Second {
			t.Errorf("served by %q in %s", id, took)
		}
	}
}

// answerWithID serves a passthrough port that answers any hello with the
// instance's id.
func (c *cvm) answerWithID(t *testing.T, addr string) {
	t.Helper()
	c.serveHello(t, addr, []byte(c.id))
}

// ask is answered by one instance of alpha, and tells which and how fast.
func (w *world) ask(t *testing.T) (id string, took time.Duration) {
	t.Helper()
	start := time.Now()
	c := w.dial()
	defer c.Close()
	mustWrite(t, c, gwtest.Hello{ServerName: name("alpha", "s")}.Record())
	got := make([]byte, 2)
	if _, err := c.Read(got); err != nil {
		t.Fatalf("no answer after %s: %v", time.Since(start), err)
	}
	return string(got), time.Since(start)
}

// A client chooses the port. One that the instance's firewall drops is silence to it
// alone: the instance goes on to receive what is for its other ports.
func TestPortThatAFirewallDropsDoesNotEjectTheInstance(t *testing.T) {
	w := newWorld(t, "nft")
	g := w.start(setting{"proxy.timeouts.connect", "300ms"}, setting{"proxy.timeouts.hedge", "100ms"})
	w.cvms[0].serveHello(t, ":443", []byte("i1"))
	w.cvms[0].firewall(t, "tcp dport 9000 drop")
	w.ask(t)
	for range 6 {
		c := w.dial()
		mustWrite(t, c, gwtest.Hello{ServerName: name("alpha", "9000s")}.Record())
		wantAlert(t, c, internalError)
	}
	g.waitFor("six silent dials", `gateway_connections_total{ended_by="instance",mode="passthrough",reason="dial_timeout"}`, 6)
	if strings.Contains(g.Log(), "to=ejected") {
		t.Error("an instance was ejected")
	}
	if id, took := w.ask(t); id != "i1" || took > time.Second {
		t.Errorf("served by %q in %s", id, took)
	}
}

// firewall adds a rule for what comes in.
func (c *cvm) firewall(t *testing.T, rule string) {
	t.Helper()
	rules := "table inet firewall { chain input { type filter hook input priority 0; policy accept;\n" + rule + "\n}\n}\n"
	if out, err := c.host.Output(t.Context(), rules, "nft", "-f", "-"); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}
