package load

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/bench/backend"
)

// startBackend runs a backend until the test ends.
func startBackend(t *testing.T) string {
	t.Helper()
	s, err := backend.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, -1) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

func TestOperationsAgreeWithTheServersCount(t *testing.T) {
	for name, rate := range map[string]float64{"closed loop": 0, "schedule": 500} {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int64
			target := serve(t, func(c net.Conn) {
				if passHello(c) == nil {
					echo(c, func() { served.Add(1) })
				}
			})
			began := time.Now()
			r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 4, Rate: rate, Threads: 2, Duration: 300 * time.Millisecond})
			took := time.Since(began).Seconds()
			// A late one that has not ended is in the histogram too. Without a schedule the server
			// is kept busy until its clock has been read, a moment after the end.
			ended, after := int64(r.Latency.Count-r.Unended), int64(8)
			if rate == 0 {
				after += served.Load() / 10
			}
			if n := served.Load(); ended == 0 || ended > n || ended < n-after {
				t.Errorf("%d operations ended, the server had %d", ended, n)
			}
			if r.Operations > uint64(served.Load()) {
				t.Errorf("%d operations, the server had %d", r.Operations, served.Load())
			}
			// All that was due is charged, whether the machine had time for it or not.
			if n := float64(r.Latency.Count); rate > 0 && (n > rate*took+2 || n < rate*0.3-2) {
				t.Errorf("%.0f operations in %.2f s at 500 a second", n, took)
			}
		})
	}
}

func TestBytesAgreeWithTheServersCount(t *testing.T) {
	var sent atomic.Int64
	target := serve(t, func(c net.Conn) {
		_ = passHello(c)
		p := make([]byte, 32<<10)
		for {
			sent.Add(int64(len(p))) // before, as the client may have read it when Write returns
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	})
	r := mustRun(t, Options{Target: target, Workload: Download, Connections: 2, Size: 1, Duration: 200 * time.Millisecond})
	if n := sent.Load(); r.Bytes == 0 || int64(r.Bytes) > n {
		t.Errorf("%d bytes, the server sent %d", r.Bytes, n)
	}
}

func TestUploadCountsWhatTheServerTakes(t *testing.T) {
	var taken atomic.Int64
	target := serve(t, func(c net.Conn) {
		p := make([]byte, 64<<10)
		for {
			n, err := c.Read(p)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	r := mustRun(t, Options{Target: target, Workload: Upload, Connections: 2, Size: 1, Duration: 300 * time.Millisecond})
	const ahead = 2 * 16 << 20 // in the kernel's buffers
	if n := taken.Load(); r.Bytes == 0 || int64(r.Bytes) > n+ahead {
		t.Errorf("%d bytes, the server took %d", r.Bytes, n)
	}
}

// The same stall as in TestStallIsChargedToEveryRequestThatWaited: without a schedule it is
// one slow request among thousands, which is why there is a schedule.
func TestStallIsOneRequestWithoutASchedule(t *testing.T) {
	var requests atomic.Int64
	target := serve(t, func(c net.Conn) {
		if passHello(c) != nil {
			return
		}
		echo(c, func() {
			if requests.Add(1) == 200 {
				<-time.After(300 * time.Millisecond)
			}
		})
	})
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 1, Duration: time.Second})
	if r.Latency.Max < 300_000 || r.Latency.P90 > 100_000 {
		t.Errorf("max %.0f µs, p90 %.0f µs", r.Latency.Max, r.Latency.P90)
	}
}

// A peer that never answers again must leave a trace without a schedule too.
func TestRequestThatNeverEndsIsCounted(t *testing.T) {
	var conns atomic.Int64
	target := serve(t, func(c net.Conn) {
		mute := conns.Add(1) == 1
		if passHello(c) != nil {
			return
		}
		echo(c, func() {
			if mute {
				<-t.Context().Done()
			}
		})
	})
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 3, Duration: 500 * time.Millisecond})
	if r.Unended != 1 || r.Latency.Max < 400_000 {
		t.Errorf("%d unended, max %.0f µs", r.Unended, r.Latency.Max)
	}
}

func TestEveryConnectionTakesPartInASchedule(t *testing.T) {
	var conns atomic.Int64
	target := serve(t, func(c net.Conn) {
		var first bool
		if passHello(c) == nil {
			echo(c, func() {
				if !first {
					first = true
					conns.Add(1)
				}
			})
		}
	})
	mustRun(t, Options{Target: target, Workload: Request, Size: 64, Connections: 50, Rate: 500, Duration: 300 * time.Millisecond})
	if n := conns.Load(); n != 50 {
		t.Errorf("%d of 50 connections had a request", n)
	}
}

func TestStopEndsTheCountingEarly(t *testing.T) {
	target := startBackend(t)
	stop := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { close(stop) })
	r := mustRun(t, Options{Target: target, Workload: Request, Size: 64, Duration: time.Hour, Stop: stop})
	if r.Operations == 0 || r.Seconds > 60 {
		t.Errorf("%d operations in %.1f s", r.Operations, r.Seconds)
	}
	_, err := Run(t.Context(), Options{Target: target, Workload: Request, Size: 64, Warmup: time.Hour, Stop: stop})
	if !errors.Is(err, errStopped) {
		t.Errorf("stopped while warming up: %v", err)
	}
}

func TestResumptionIsProvenWithoutARequest(t *testing.T) {
	config := serverConfig(t)
	var shaken, resumed atomic.Int64
	target := serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if s.HandshakeContext(t.Context()) == nil {
			shaken.Add(1)
			if s.ConnectionState().DidResume {
				resumed.Add(1)
			}
		}
		_, _ = io.Copy(io.Discard, s)
	})
	r := mustRun(t, Options{Target: target, TLS: tls.VersionTLS13, Resume: true, Workload: Connect, Connections: 1, Duration: 200 * time.Millisecond})
	if r.Operations < 2 || r.Resumed < r.Handshakes-1 {
		t.Errorf("%d of %d handshakes resumed", r.Resumed, r.Handshakes)
	}
	if n := resumed.Load(); n < shaken.Load()-1 || n == 0 {
		t.Errorf("the server resumed %d of %d", n, shaken.Load())
	}
}

func TestCostOfTheGeneratorIsTold(t *testing.T) {
	r := mustRun(t, Options{Target: startBackend(t), Workload: Request, Size: 64, Duration: 200 * time.Millisecond})
	var text strings.Builder
	r.Write(&text)
	if r.CPU.Generator <= 0 || r.CPU.Generator > 4*r.Seconds || !strings.Contains(text.String(), "µs an operation)") {
		t.Errorf("generator %.3f s of %.3f s:\n%s", r.CPU.Generator, r.Seconds, &text)
	}
}
