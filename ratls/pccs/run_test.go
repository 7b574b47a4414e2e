package pccs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

const day = 24 * time.Hour

// run runs c for the rest of the test.
func run(t *testing.T, c *Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func TestKnownPlatformsAreRefreshedDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		run(t, c)
		synctest.Wait()
		get(t, c, w.platform)
		for days := 1; days <= 3; days++ {
			after(day - time.Minute)
			if n := w.asked(); n != days {
				t.Fatalf("before the end of day %d the server was asked %d times", days, n)
			}
			w.publish()
			after(time.Minute + time.Second)
			if n := w.asked(); n != days+1 {
				t.Fatalf("after day %d the server was asked %d times", days, n)
			}
		}
		if n := w.told(); n != 4 {
			t.Errorf("told of %d changes", n)
		}
	})
}

// A server that is down is asked less and less often, and at once used again.
func TestRefreshingBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		run(t, c)
		get(t, c, w.platform)
		w.down()
		start := time.Now()
		var at []string
		for asked := w.asked(); len(at) < 9; after(time.Second) {
			if n := w.asked(); n > asked {
				asked = n
				at = append(at, time.Since(start).Truncate(time.Minute).String())
			}
			get(t, c, w.platform)
		}
		const want = "[24h0m0s 24h1m0s 24h3m0s 24h7m0s 24h15m0s 24h31m0s 25h3m0s 26h3m0s 27h3m0s]"
		if got := fmt.Sprint(at); got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		if s := w.log.String(); !strings.Contains(s, "cannot refresh collateral") || !strings.Contains(s, "platform="+w.platform.String()) || !strings.Contains(s, "status 500") {
			t.Errorf("the log does not tell it: %s", s)
		}
		w.server.Instead(tdxpki.TCBInfoDocument, nil)
		w.publish()
		after(time.Hour)
		if until := c.until(w.platform); !until.Equal(w.pki.Now.Add(29 * day)) {
			t.Errorf("held until %s", until)
		}
	})
}

func TestWhatHasEndedIsForgottenIfItCannotBeRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, nil)
		run(t, c)
		get(t, c, w.platform)
		w.down()
		after(31 * day)
		asked := w.asked()
		after(day)
		if n := w.asked() - asked; n != 0 || !c.until(w.platform).IsZero() {
			t.Errorf("asked %d times more, held until %s", n, c.until(w.platform))
		}
	})
}

func TestRunKnowsWhatIsOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		dir, file := w.kept(t)
		yesterday := time.Now().Add(-day)
		if err := os.Chtimes(file, yesterday, yesterday); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		w.publish()
		told := w.told()
		run(t, w.client(t, func(o *Options) { o.Dir = dir }))
		synctest.Wait()
		if w.asked() != 2 || w.told() != told+1 {
			t.Errorf("asked %d times, told %d times", w.asked()-1, w.told()-told)
		}
	})
}

func TestRunEndsWhileItWaitsForAServer(t *testing.T) {
	for name, end := range map[string]func(c *Client, cancel func()){
		"by its context":  func(_ *Client, cancel func()) { cancel() },
		"with its client": func(c *Client, _ func()) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(tdxpki.Dialect{})
				c := w.client(t, nil)
				get(t, c, w.platform)
				w.server.Hold(tdxpki.TCBInfoDocument)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					c.Run(ctx)
				}()
				after(day + time.Second)
				start := time.Now()
				end(c, cancel)
				<-ended
				if d := time.Since(start); d != 0 || strings.Contains(w.log.String(), "WARN") {
					t.Errorf("it took %s, log: %s", d, w.log)
				}
			})
		})
	}
}

func TestDocumentsAreDueLongBeforeTheirEnd(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for _, x := range []struct {
		from, until, fetched, want time.Duration // since start; want: since fetched
	}{
		{0, 30 * day, 0, day},
		{0, 30 * day, 22 * day, day / 2},   // three quarters are over within the day
		{0, 30 * day, 29 * day, time.Hour}, // the server had nothing newer
		{0, 2 * time.Hour, 0, 90 * time.Minute},
		{0, time.Hour, 0, time.Hour},
	} {
		e := entry{from: start.Add(x.from), until: start.Add(x.until)}
		fetched := start.Add(x.fetched)
		if got := e.dueAfter(fetched).Sub(fetched); got != x.want {
			t.Errorf("%v: %s", x, got)
		}
	}
}
