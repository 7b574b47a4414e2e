//go:build soak

package e2e

import (
	"os"
	"sync"
	"testing"
	"time"
)

// soakTime is how long a soak runs: GATEWAY_SOAK, or 30 minutes.
func soakTime(t *testing.T) time.Duration {
	s := os.Getenv("GATEWAY_SOAK")
	if s == "" {
		return 30 * time.Minute
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("GATEWAY_SOAK: %v", err)
	}
	return d
}

// Long-lived connections of every mode among a storm of short ones: none breaks,
// and in the end the process holds what it held after the first minute.
func TestSoakOfLongAndShortConnections(t *testing.T) {
	w := newWorld(t)
	g := w.startAlone(programs.plain, nil, setting{"log.access", false})
	w.connectCVMs(g)
	w.cvms[0].serveHello(t, ":443", make([]byte, 100))
	w.storm(t, 5000)
	fds, goroutines, rss := g.atRest()

	end := time.Now().Add(soakTime(t))
	var long sync.WaitGroup
	for _, m := range modes {
		f := w.flow(m)
		f.raw.SetDeadline(end.Add(patience))
		f.instance.SetDeadline(end.Add(patience))
		long.Go(func() {
			defer f.raw.Close()
			defer f.instance.Close()
			for seed := byte(0); time.Now().Before(end); seed++ {
				if err := transfer(f.client, f.instance, m, seed, 64<<20); err != nil {
					t.Errorf("%s up: %v", m.name, err)
					return
				}
				if err := transfer(f.instance, f.client, m, seed, 64<<20); err != nil {
					t.Errorf("%s down: %v", m.name, err)
					return
				}
			}
		})
	}
	for time.Now().Before(end) {
		w.storm(t, 2000)
		t.Logf("descriptors %v, goroutines %v, memory %.1f MiB",
			g.metric("process_open_fds"), g.metric("go_goroutines"), g.metric("process_resident_memory_bytes")/(1<<20))
	}
	long.Wait()
	g.mustHoldNoMoreThan(fds+16, goroutines) // pipes in the pool
	if now := g.metric("process_resident_memory_bytes"); now > 1.3*rss+(32<<20) {
		t.Errorf("%v bytes of memory before, %v after", rss, now)
	}
}
