package load

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/bench/backend"
)

// atMost is what may be moved in a run that took so long, its setup included: what is
// due, and of each thread the piece that is due at once.
func atMost(o Options, took time.Duration) uint64 {
	return uint64(o.BulkRate*took.Seconds()) + uint64(o.Threads*maxPiece)
}

func TestBulkRateIsKept(t *testing.T) {
	target := startBackend(t)
	config := serverConfig(t)
	shaken := serve(t, func(c net.Conn) {
		s := tls.Server(c, config)
		if _, err := io.ReadFull(s, make([]byte, backend.CommandSize)); err != nil {
			return
		}
		for zeros := make([]byte, 64<<10); ; {
			if _, err := s.Write(zeros); err != nil {
				return
			}
		}
	})
	for name, o := range map[string]Options{
		"download":          {Target: target, Workload: Download},
		"upload":            {Target: target, Workload: Upload},
		"beside requests":   {Target: target, Workload: Mixed, Rate: 1000},
		"download over TLS": {Target: shaken, Workload: Download, TLS: tls.VersionTLS13},
	} {
		t.Run(name, func(t *testing.T) {
			o.Connections, o.BulkConnections, o.Threads, o.Size, o.BulkRate = 6, 6, 2, 64, 30e6
			o.Duration = 400 * time.Millisecond
			began := time.Now()
			r := mustRun(t, o)
			if most := atMost(o, time.Since(began)); r.Bytes > most {
				t.Errorf("%d bytes, %d were due", r.Bytes, most)
			}
			if float64(r.Bytes) < o.BulkRate*r.Seconds/2 {
				t.Errorf("%d bytes in %.2f s, %.0f a second were due", r.Bytes, r.Seconds, o.BulkRate)
			}
		})
	}
}

func TestUploadSendsNoMoreThanItsRate(t *testing.T) {
	var taken atomic.Int64
	target := serve(t, func(c net.Conn) {
		for p := make([]byte, 64<<10); ; {
			n, err := c.Read(p)
			taken.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	o := Options{Target: target, Workload: Upload, Connections: 4, Size: 1, Threads: 1, BulkRate: 20e6, Duration: 200 * time.Millisecond}
	began := time.Now()
	mustRun(t, o)
	const hellos = 4 << 10
	if n, most := taken.Load(), atMost(o, time.Since(began))+hellos; uint64(n) > most {
		t.Errorf("the server took %d bytes, %d were due", n, most)
	}
}

// Requests are neither slowed down by the limit nor taken from it.
func TestRequestsDoNotCountAgainstTheBulkRate(t *testing.T) {
	o := Options{
		Target: startBackend(t), Workload: Mixed, Connections: 4, BulkConnections: 4, Size: 16 << 10,
		Threads: 1, BulkRate: 4e6, Duration: 300 * time.Millisecond,
	}
	began := time.Now()
	r := mustRun(t, o)
	if most := atMost(o, time.Since(began)); r.Bytes > most || float64(r.Bytes) < o.BulkRate*r.Seconds/2 {
		t.Errorf("%d bytes of bulk, at most %d were due", r.Bytes, most)
	}
	if moved := r.Operations * uint64(o.Size); moved < 2*r.Bytes {
		t.Errorf("%d bytes of requests beside %d of bulk", moved, r.Bytes)
	}
}

// downloads are limited ones that have begun, without a socket, at time 1 of a run.
func downloads(n int, rate float64) *group {
	l := &loop{opts: &Options{}, phase: &phases{}}
	l.phase.start.Store(1)
	g := &group{l: l, size: n, job: &bulk{}}
	g.limit(rate)
	for range n {
		g.free.push(&conn{g: g, state: open, need: 1})
	}
	return g
}

func (g *group) allowances() (all []int) {
	for _, c := range g.free.conns[g.free.head:] {
		all = append(all, c.allowed)
	}
	return all
}

func TestEachDownloadIsAllowedItsShareInTime(t *testing.T) {
	for rate, piece := range map[float64]int{320e6: 128 << 10, 8e6: 50_000, 160: 1} {
		g := downloads(16, rate)
		if g.piece != piece {
			t.Errorf("%.0f bytes a second: pieces of %d", rate, g.piece)
		}
		const at = int64(150 * time.Millisecond)
		next := g.begin(at)
		if next <= at || next > at+int64(float64(g.piece)/rate*1e9)+1 {
			t.Errorf("%.0f bytes a second: at %d the next piece is due at %d", rate, at, next)
		}
		share := rate * 0.15 / 16
		var sum float64
		for _, n := range g.allowances() {
			sum += float64(n)
			if float64(n) < share-float64(piece) || float64(n) > share+float64(piece) {
				t.Errorf("%.0f bytes a second: %d are allowed, the share is %.0f", rate, n, share)
			}
		}
		if due := 16 * share; sum < due || sum > due+float64(piece) {
			t.Errorf("%.0f bytes are allowed, %.0f are due", sum, due)
		}
	}
}

func TestDownloadsDoNotCatchUpWithALongStall(t *testing.T) {
	g := downloads(16, 320e6)
	g.begin(int64(10 * time.Second))
	for _, n := range g.allowances() {
		if n != 4_000_000 { // of 200 ms
			t.Errorf("%d bytes are allowed after a stall of 10 s", n)
		}
	}
}

func TestLatePiecesAreNoLateRequests(t *testing.T) {
	g := downloads(16, 320e6)
	g.settle(int64(time.Second))
	if g.l.unended != 0 || g.l.main.Count() != 0 {
		t.Errorf("%d unended operations", g.l.unended)
	}
}

// What a download has not read yet waits at the peer, and not in buffers that are
// filled in a flood.
func TestPeerOfASlowDownloadIsHeldBack(t *testing.T) {
	var sent atomic.Int64
	target := serve(t, func(c net.Conn) {
		if err := c.(*net.TCPConn).SetWriteBuffer(64 << 10); err != nil {
			t.Error(err)
		}
		_ = passHello(c)
		for p := make([]byte, 16<<10); ; {
			n, err := c.Write(p)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	mustRun(t, Options{Target: target, Workload: Download, Connections: 4, Size: 1, BulkRate: 1e6, Duration: 200 * time.Millisecond})
	if n := sent.Load(); n > 4<<20 {
		t.Errorf("the peer sent %d bytes, 200,000 were due", n)
	}
}
