package e2e

import (
	"testing"
	"time"
)

const idle = 2 * time.Second

// The idle timer is on in every state of a connection: each case brings one into
// a state, then nobody says anything more.
func TestIdleTimeoutEndsTheConnection(t *testing.T) {
	states := []struct {
		name  string
		reach func(t *testing.T, f *flow)
	}{
		{"BeforeTheFirstByte", func(*testing.T, *flow) {}},
		{"AfterTraffic", func(t *testing.T, f *flow) { f.mustEcho(t) }},
		{"AfterTheClientsHalfClose", func(t *testing.T, f *flow) {
			f.client.CloseWrite()
			mustEnd(t, f.instance)
		}},
		{"AfterTheInstancesHalfClose", func(t *testing.T, f *flow) {
			f.instance.CloseWrite()
			mustEnd(t, f.client)
		}},
		{"WithAReaderThatDoesNotRead", func(t *testing.T, f *flow) {
			f.instance.SetWriteDeadline(time.Now().Add(idle / 2))
			for err := error(nil); err == nil; { // until everything between is full
				_, err = f.instance.Write(make([]byte, 256<<10))
			}
		}},
	}
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		for _, s := range states {
			t.Run(s.name, func(t *testing.T) {
				w, g := w.in(t), g.in(t)
				series := `gateway_connections_total{reason="idle_timeout"}`
				before := g.metric(series)
				f := w.flow(m)
				start := time.Now()
				s.reach(t, f)
				g.waitFor("the idle connection to end", series, before+1)
				if took := time.Since(start); took < idle/2 {
					t.Errorf("it ended after %s", took)
				}
				f.raw.SetDeadline(time.Now().Add(patience))
				f.instance.SetDeadline(time.Now().Add(patience))
				drainUntilEnd(f.raw) // what was under way, then the end
				drainUntilEnd(f.instance)
				g.waitFor("nothing to be left", "gateway_connections_open", 0)
			})
		}
	}, setting{"proxy.timeouts.idle", idle.String()})
}

// Traffic in one direction alone keeps a connection alive.
func TestTrafficInOneDirectionKeepsAConnection(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world, _ *gateway, m mode) {
		f := w.flow(m)
		tick := time.NewTicker(idle / 4)
		defer tick.Stop()
		for range 10 { // 2.5 times the limit
			<-tick.C
			mustWrite(t, f.instance, []byte("."))
			mustRead(t, f.client, ".")
		}
		f.mustEcho(t)
	}, setting{"proxy.timeouts.idle", idle.String()})
}
