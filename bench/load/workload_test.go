package load

import (
	"crypto/tls"
	"math"
	"os"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

func serverConfig(t *testing.T) *tls.Config {
	t.Helper()
	return &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, "app.gw.test")}}
}

func TestEveryWorkloadRunsAgainstTheBackend(t *testing.T) {
	target := startBackend(t)
	for _, w := range Workloads {
		t.Run(string(w), func(t *testing.T) {
			r := mustRun(t, Options{
				Target: target, Workload: w, Connections: 10, BulkConnections: 2, Size: 64, ReplySize: 1000,
				Interval: 5 * time.Millisecond, Threads: 2, Warmup: 20 * time.Millisecond, Duration: 150 * time.Millisecond,
			})
			if r.Empty() || r.Errors > 0 {
				t.Fatalf("%d operations, %d bytes, failures %+v", r.Operations, r.Bytes, r.Failures)
			}
			hasBytes := w == Download || w == Upload || w == Mixed
			if hasBytes != (r.Bytes > 0) {
				t.Errorf("%d bytes", r.Bytes)
			}
			hasLatency := w == Request || w == Connect || w == Trickle || w == Mixed
			if hasLatency != (r.Latency.Count > 0) {
				t.Errorf("%d latencies", r.Latency.Count)
			}
		})
	}
}

func TestTrickleComesAsOftenAsAsked(t *testing.T) {
	r := mustRun(t, Options{Target: startBackend(t), Workload: Trickle, Connections: 10, Size: 64, Interval: 10 * time.Millisecond, Duration: 500 * time.Millisecond})
	if all := float64(r.Latency.Count); all > 511 || all < 400 {
		t.Errorf("%.0f messages in half a second, 10 connections have one each 10 ms", all)
	}
}

func TestIdleConnectionsAreMetered(t *testing.T) {
	r := mustRun(t, Options{Target: startBackend(t), Workload: Idle, Connections: 200, Size: 64, PID: os.Getpid(), Duration: 50 * time.Millisecond})
	// Both ends are in this process: two descriptors each.
	if i := r.Idle; i == nil || i.Connections != 160 || i.Descriptors < 1.9 || i.Descriptors > 2.2 {
		t.Errorf("%+v", i)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	good := Options{Target: "127.0.0.1:443", Workload: Request, Size: 64}
	if err := good.Check(); err != nil || good.ServerName != "127.0.0.1" || good.Connections != 1 || good.Duration != 10*time.Second {
		t.Fatalf("%v, %+v", err, good)
	}
	for name, spoil := range map[string]func(*Options){
		"target":          func(o *Options) { o.Target = "127.0.0.1" },
		"workload":        func(o *Options) { o.Workload = "rest" },
		"version":         func(o *Options) { o.TLS = tls.VersionTLS11 },
		"curve":           func(o *Options) { o.TLS, o.Curve = tls.VersionTLS12, tls.X25519MLKEM768 },
		"resume raw":      func(o *Options) { o.Resume = true },
		"connect raw":     func(o *Options) { o.Workload, o.Size = Connect, 0 },
		"no request":      func(o *Options) { o.Size = 0 },
		"huge request":    func(o *Options) { o.Size = 1 << 20 },
		"small command":   func(o *Options) { o.Workload, o.Size = Connect, 8 },
		"small message":   func(o *Options) { o.Workload, o.Size = Trickle, 4 },
		"connections":     func(o *Options) { o.Connections = 1 << 30 },
		"threads":         func(o *Options) { o.Threads = 2 },
		"negative rate":   func(o *Options) { o.Rate = -1 },
		"endless failure": func(o *Options) { o.Endure = true },
		"rate of a flood": func(o *Options) { o.Workload, o.Rate = Download, 1 },
		"negative bulk":   func(o *Options) { o.Workload, o.BulkRate = Download, -1 },
		"bulk rate":       func(o *Options) { o.Workload, o.BulkRate = Upload, math.Inf(1) },
		"rate of no bulk": func(o *Options) { o.BulkRate = 1 },
		"duration":        func(o *Options) { o.Duration = 25 * time.Hour },
		"interval":        func(o *Options) { o.Interval = time.Microsecond },
	} {
		o := Options{Target: "127.0.0.1:443", Workload: Request, Size: 64}
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
