package hostile

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/bench/peers"
	"sallyport/bench/trial"
	"sallyport/internal/gwtest"
)

var addr = netip.MustParseAddrPort("127.0.0.1:443")

// TestSmoke makes every attack for a moment: honest clients work before it, the attack
// takes place, and what they see beside it is reported. What they see it does not judge.
func TestSmoke(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	gateway, self := gwtest.Build(t, "cmd/gateway"), gwtest.Build(t, "bench/cmd/measure")
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	r, err := Run(t.Context(), Options{Self: self, Hasten: 16, Plan: trial.Plan{Gateway: gateway, Rounds: 1, Duration: 300 * time.Millisecond, ProxyCPU: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if failures := r.Failures(); len(failures) > 0 {
		t.Errorf("%s", strings.Join(failures, "\n"))
	}
	proxies := 2 - len(slices.DeleteFunc(peers.Missing(), func(p string) bool { return p != peers.HAProxy }))
	if want := len(Names()) * proxies; len(r.Runs) != want {
		t.Errorf("%d of %d runs", len(r.Runs), want)
	}
	var served, attacked uint64 // a busy machine may leave a run of its own with nothing
	for _, run := range r.Runs {
		if !run.whole() {
			t.Errorf("%s", run.String())
			continue
		}
		if q := run.Quiet; q.Requests.Errors+q.Connections.Errors > 0 {
			t.Errorf("%s, %s, without the attack: %s%s", run.Attack, run.Proxy, q.Requests.FirstError, q.Connections.FirstError)
		}
		// The gateway refuses more than its share of the own site with this alert: a bound, no failure.
		bounded := strings.Contains(run.Did.FirstError, "access denied")
		if strings.Contains(run.Did.FirstError, "handshake") && !bounded || run.Did.Opened == 0 && run.Did.FirstError != "" {
			t.Errorf("%s, %s: %+v", run.Attack, run.Proxy, run.Did)
		}
		served += run.Quiet.Requests.Latency.Count - run.Quiet.Requests.Unended
		attacked += run.Did.Opened
	}
	if served == 0 || attacked == 0 {
		t.Errorf("%d requests, %d connections of attackers", served, attacked)
	}
	if left, _ := filepath.Glob(temporary + "/*"); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestCancelledRunTellsWhatThereIs(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, err := Run(ctx, Options{Plan: trial.Plan{
		Gateway: "/nonexistent", Rounds: 100, Duration: time.Minute, ProxyCPU: 1,
		Progress: func(string) { cancel() }, // when the gateway could not be started
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if r == nil || len(r.Runs) != 1 || r.Runs[0].Error == "" {
		t.Errorf("what there is: %+v", r)
	}
}

func TestDroppedPortAnswersNothing(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	s, err := open(t.Context(), Options{Plan: trial.Plan{ProxyCPU: -1, LoadCPU: -1}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	dial := func(port uint16, within time.Duration) error {
		return s.edge.Do(func() error {
			c, err := net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr(insideAddress), port).String(), within)
			if err == nil {
				c.Close()
			}
			return err
		})
	}
	var silent net.Error
	if err := dial(s.dropped.port, 300*time.Millisecond); !errors.As(err, &silent) || !silent.Timeout() {
		t.Errorf("the dropped port: %v", err)
	}
	s.dropped.close()
	if err := dial(s.dropped.port, time.Minute); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("when it is closed: %v", err)
	}
}
