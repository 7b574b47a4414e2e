//go:build soak

package e2e

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// 2,000 short connections a second to one port of one instance for three minutes, on a
// machine as the kernel makes it: 28,232 ports, each for a minute.
func TestSoakOfShortConnectionsToOnePort(t *testing.T) {
	const rate, clients, ports = 2000, 32, 28232
	w := newWorld(t)
	g := w.startAlone(programs.plain, nil, setting{"log.access", false})
	w.connectCVMs(g)
	w.cvms[0].serveUntilLeft(t, ":443")
	hello := gwtest.Hello{ServerName: name("alpha", "s")}.Record()
	turns := make(chan struct{}, rate/10)
	var made, failed atomic.Int64
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range turns {
				if err := w.leave(hello); err != nil {
					if failed.Add(1) == 1 {
						t.Errorf("connection %d: %v", made.Load(), err)
					}
				}
				made.Add(1)
			}
		})
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < 3*time.Minute {
		<-tick.C
		for range rate / 100 {
			select {
			case turns <- struct{}{}:
			default: // the machine is not that fast
			}
		}
	}
	close(turns)
	all.Wait()
	t.Logf("%d connections, %.0f a second, %d failed", made.Load(), float64(made.Load())/time.Since(began).Seconds(), failed.Load())
	if failed.Load() > 0 || made.Load() < 2*3*ports {
		t.Errorf("%d of %d failed; want none of %d, which is twice what would use the ports up", failed.Load(), made.Load(), 2*3*ports)
	}
	if n := g.metric(`gateway_connections_total{reason="no_local_port"}`); n > 0 {
		t.Errorf("no port was left %v times", n)
	}
}
