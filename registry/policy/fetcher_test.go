package policy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
)

// fetching is a Fetcher that runs, and what it has found.
type fetching struct {
	*Fetcher
	mu    sync.Mutex
	found []vm.PortPolicy
}

func (f *fetching) all() []vm.PortPolicy {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.found
}

// start runs a Fetcher; stop ends it and waits.
func start(t *testing.T, o Options) (f *fetching, stop func()) {
	t.Helper()
	f = new(fetching)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Max = 8
	o.Found = func(_ context.Context, _ vm.Spec, p vm.PortPolicy) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.found = append(f.found, p)
		return nil
	}
	f.Fetcher = New(o)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := f.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return f, func() { cancel(); run.Wait() }
}

// asked is an instance whose compose file is file.
func asked(file string) vm.Spec {
	return vm.Spec{ID: "one", App: "app", Addr: netip.MustParseAddr("10.8.0.2"), Compose: hash(file)}
}

func wait(d time.Duration) { <-time.After(d) }

func TestSilentGuestIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &gwtest.Agent{Answer: func(n int32, w io.Writer) error {
			switch n {
			case 1:
				return errors.New("silence")
			case 2:
				_, err := io.WriteString(w, "HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n")
				return err
			}
			return gwtest.AgentSays(gwtest.AgentInfo(t, `{}`))(n, w)
		}}
		f, stop := start(t, Options{Dial: agent.Dial})
		defer stop()
		f.Want(asked(`{}`))
		wait(infoTimeout + 999*time.Millisecond)
		if n := agent.Asked.Load(); n != 1 {
			t.Errorf("asked %d times before its time and a pause were over", n)
		}
		wait(3 * time.Second)
		if all := f.all(); agent.Asked.Load() != 3 || len(all) != 1 || all[0] != vm.OpenPolicy() {
			t.Errorf("asked %d times, found %v", agent.Asked.Load(), all)
		}
	})
}

func TestFetchEndsAndBeginsAgainWhenItIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := new(gwtest.Agent)
		f, stop := start(t, Options{Dial: agent.Dial})
		f.Want(asked(`{}`))
		wait(time.Hour)
		if n := agent.Asked.Load(); n != fetchRetries+1 {
			t.Errorf("asked %d times", n)
		}
		f.Want(asked(`{}`))
		f.Want(asked(`{}`)) // is wanted already
		wait(500 * time.Millisecond)
		if n := agent.Asked.Load(); n != fetchRetries+2 {
			t.Errorf("asked %d times", n)
		}
		stop() // does not wait for the pauses
	})
}

func TestAgentIsNotFollowedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &gwtest.Agent{Answer: func(_ int32, w io.Writer) error {
			_, err := io.WriteString(w, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://10.8.0.9:22/\r\nContent-Length: 0\r\n\r\n")
			return err
		}}
		f, stop := start(t, Options{Dial: agent.Dial})
		defer stop()
		f.Want(asked(`{}`))
		wait(time.Hour)
		if to := agent.Dialed.Load(); to != netip.MustParseAddrPort("10.8.0.2:8090") || len(f.all()) > 0 {
			t.Errorf("went to %v, found %v", to, f.all())
		}
	})
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("boom") }

// A panic on the goroutine of a fetch would end the process, and with it the test.
func TestPanicRefusesOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f, stop := start(t, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		f.agent.client.Transport = panicking{}
		f.Want(asked(`{}`))
		wait(2 * infoTimeout) // net/http's own goroutine for the timeout is over then
		stop()
		if text := log.String(); !strings.Contains(text, "panic=boom") || !strings.Contains(text, "fetcher_test.go") {
			t.Errorf("the log has no panic with its stack: %s", text)
		}
		if all := f.all(); len(all) > 0 {
			t.Errorf("found %v", all)
		}
	})
}
