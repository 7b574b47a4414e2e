package pccs

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

func TestManyCallersMakeOneSearch(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	c := w.client(t, nil)
	gate := w.server.Hold(tdxpki.QEIdentityDocument)
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			if _, err := c.Collateral(t.Context(), w.platform); err != nil {
				t.Error(err)
			}
		})
	}
	<-gate.Arrived()
	gate.Open()
	callers.Wait()
	if n := w.asked(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestDocumentsAreUsedToTheirEndWhileNoServerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		get(t, c, w.platform)
		w.down()
		after(28 * 24 * time.Hour)
		get(t, c, w.platform)
		if n := w.asked(); n != 1 {
			t.Errorf("the server was asked %d times", n)
		}
		after(2 * 24 * time.Hour) // what was issued for 30 days has ended
		if _, err := c.Collateral(t.Context(), w.platform); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "status 500") {
			t.Error(err)
		}
		w.server.Instead(tdxpki.TCBInfoDocument, nil)
		w.publish()
		after(failedFor)
		get(t, c, w.platform)
	})
}

func TestFailureIsRememberedShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		w.down()
		c := w.client(t, nil)
		for round := range 3 {
			for range 10 {
				if _, err := c.Collateral(t.Context(), w.platform); !errors.Is(err, ErrUnavailable) {
					t.Fatal(err)
				}
			}
			if n := w.asked(); n != round+1 {
				t.Fatalf("the server was asked %d times in %d rounds", n, round+1)
			}
			after(failedFor)
		}
		w.server.Instead(tdxpki.TCBInfoDocument, nil)
		get(t, c, w.platform)
	})
}

// panicking is a transport that has a bug while on is set.
type panicking struct {
	http.RoundTripper
	on *atomic.Bool
}

func (p panicking) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.on.Load() {
		panic("boom")
	}
	return p.RoundTripper.RoundTrip(r)
}

// A panic on a search's goroutine would end the process, and with it the test.
func TestPanicEndsOneSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		var bug atomic.Bool
		c := w.client(t, func(o *Options) { o.HTTP = &http.Client{Transport: panicking{o.HTTP.Transport, &bug}} })
		bug.Store(true)
		if _, err := c.Collateral(t.Context(), w.platform); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v", err)
		}
		if log := w.log.String(); !strings.Contains(log, "panic=boom") || !strings.Contains(log, "client_test.go") {
			t.Errorf("the log does not tell of the panic and its stack: %s", log)
		}
		bug.Store(false)
		after(failedFor)
		get(t, c, w.platform)
	})
}

// A server that was taken over, or that has an old backup, must not bring back the
// documents from before a revocation.
func TestOlderDocumentsDoNotReplaceNewerOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		old := w.pki.Collateral()
		after(time.Hour)
		w.publish()
		newer := w.pki.Collateral()
		c := w.client(t, nil)
		first := get(t, c, w.platform)
		for name, change := range map[string]func(*tdxpki.Collateral){
			"TCB info":    func(c *tdxpki.Collateral) { c.TCBInfo = old.TCBInfo },
			"QE identity": func(c *tdxpki.Collateral) { c.QEIdentity = old.QEIdentity },
			"PCK CRL":     func(c *tdxpki.Collateral) { c.PCKCRL = old.PCKCRL },
			"root CRL":    func(c *tdxpki.Collateral) { c.RootCRL = old.RootCRL },
		} {
			mixed := *newer
			change(&mixed)
			w.server.Publish(w.pki.PCK.FMSPC, tdxpki.PlatformCA, mixed.Sign())
			f, err := c.join(w.platform, true)
			if err != nil {
				t.Fatal(err)
			}
			if <-f.done; f.err == nil || !strings.Contains(f.err.Error(), "older than the current one") {
				t.Errorf("%s: %v", name, f.err)
			}
			if get(t, c, w.platform) != first {
				t.Errorf("%s: the documents were replaced", name)
			}
		}
	})
}

func TestChangeIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		get(t, c, w.platform)
		synctest.Wait()
		if n := w.told(); n != 1 {
			t.Errorf("told %d times of the first documents", n)
		}
		before, err := c.Prepared(t.Context(), w.platform)
		if err != nil {
			t.Fatal(err)
		}
		c.refresh(t.Context(), w.platform)
		synctest.Wait()
		if n := w.told(); n != 1 {
			t.Errorf("told %d times where nothing changed", n-1)
		}
		if same, err := c.Prepared(t.Context(), w.platform); err != nil || same != before {
			t.Errorf("other documents are returned where nothing changed, %v", err)
		}
		after(time.Hour)
		w.publish()
		c.refresh(t.Context(), w.platform)
		synctest.Wait()
		if n := w.told(); n != 2 {
			t.Errorf("told %d times of a change", n-1)
		}
		if now, err := c.Prepared(t.Context(), w.platform); err != nil || now == before {
			t.Errorf("the old documents are returned, %v", err)
		}
	})
}

func TestCallerWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		gate := w.server.Hold(tdxpki.TCBInfoDocument)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Collateral(ctx, w.platform); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		gate.Open()
		get(t, c, w.platform)
		if n := w.asked(); n != 1 {
			t.Errorf("the search did not go on: the server was asked %d times", n)
		}
	})
}

func TestCloseEndsSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		w.server.Hold(tdxpki.TCBInfoDocument)
		failed := make(chan error)
		go func() {
			_, err := c.Collateral(t.Context(), w.platform)
			failed <- err
		}()
		synctest.Wait()
		start := time.Now()
		c.Close()
		if err := <-failed; !errors.Is(err, errClosed) {
			t.Error(err)
		}
		if _, err := c.Collateral(t.Context(), w.platform); !errors.Is(err, errClosed) {
			t.Error(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Close waited %s", d)
		}
	})
}

func TestPlatformWithoutAuthorityIsNotAskedFor(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	c := w.client(t, nil)
	if _, err := c.Prepared(t.Context(), Platform{FMSPC: w.platform.FMSPC}); !errors.Is(err, ErrUnavailable) || w.asked() != 0 {
		t.Errorf("%v, asked %d times", err, w.asked())
	}
}

// However many platforms are asked for, so much is remembered and no more: what was
// asked for last.
func TestDocumentsHeldAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		dir := t.TempDir()
		c := w.client(t, func(o *Options) { o.Dir = dir })
		docs := get(t, c, w.platform)
		p := w.platform
		for i := range maxPlatforms + 16 {
			after(time.Second)
			p.FMSPC[0], p.FMSPC[1] = byte(i), byte(i>>8)
			if err := c.disk.save(p, docs); err != nil {
				t.Fatal(err)
			}
			c.hold(p, &entry{docs: docs, used: time.Now(), until: time.Now().Add(day)})
			get(t, c, w.platform)
			get(t, c, p)
		}
		if n := w.asked(); n != 1 {
			t.Errorf("the server was asked %d times", n)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != maxPlatforms {
			t.Errorf("%d files, %v", len(files), err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.held) != maxPlatforms {
			t.Errorf("%d platforms are held", len(c.held))
		}
	})
}

func TestFailuresRememberedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		p := w.platform
		for i := range 2 * maxPlatforms {
			p.FMSPC[0], p.FMSPC[1] = byte(i), byte(i>>8)
			if _, err := c.Collateral(t.Context(), p); err == nil {
				t.Fatal("found documents of nobody")
			}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.failed) != maxPlatforms {
			t.Errorf("%d failures are remembered", len(c.failed))
		}
	})
}

func TestSearchesUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		w.server.Hold(tdxpki.TCBInfoDocument)
		p := w.platform
		for i := range maxFlights {
			p.FMSPC[0] = byte(i)
			if _, err := c.join(p, false); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Collateral(t.Context(), w.platform); !errors.Is(err, ErrUnavailable) || !errors.Is(err, errBusy) {
			t.Error(err)
		}
	})
}

func TestHeldDocumentsCostLittle(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	c := w.client(t, nil)
	get(t, c, w.platform)
	if n := testing.AllocsPerRun(100, func() { get(t, c, w.platform) }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkHeld(b *testing.B) {
	w := newWorld(tdxpki.Dialect{})
	c := w.client(b, nil)
	get(b, c, w.platform)
	b.ReportAllocs()
	for b.Loop() {
		get(b, c, w.platform)
	}
}

// From four answers to documents that are verified and held; without a network.
func BenchmarkFetch(b *testing.B) {
	w := newWorld(tdxpki.Dialect{})
	c := w.client(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		c.refresh(b.Context(), w.platform)
	}
}
