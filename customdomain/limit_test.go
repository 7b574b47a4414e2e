package customdomain

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// address is the i-th client.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// allowed counts the lookups that l lets through.
func allowed(l *limiter, n int, now time.Time, source func(i int) netip.Addr) (ok int) {
	for i := range n {
		if l.take(source(i), now) == nil {
			ok++
		}
	}
	return ok
}

func TestSourceIsLimitedByMinute(t *testing.T) {
	l := newLimiter(30, 1000)
	now := time.Now()
	one := func(int) netip.Addr { return client }
	for _, step := range []struct {
		wait time.Duration
		want int
	}{
		{0, 30}, {0, 0}, {time.Second, 0}, {time.Second, 1}, {10 * time.Second, 5}, {time.Hour, 30},
	} {
		now = now.Add(step.wait)
		if got := allowed(&l, 100, now, one); got != step.want {
			t.Errorf("after %v: %d, want %d", step.wait, got, step.want)
		}
	}
}

func TestAllAreLimitedBySecond(t *testing.T) {
	l := newLimiter(30, 100)
	now := time.Now()
	for _, step := range []struct {
		wait time.Duration
		want int
	}{
		{0, 100}, {0, 0}, {100 * time.Millisecond, 10}, {time.Hour, 100},
	} {
		now = now.Add(step.wait)
		if got := allowed(&l, 1000, now, address); got != step.want {
			t.Errorf("after %v: %d, want %d", step.wait, got, step.want)
		}
	}
}

func TestSourceThatAsksTooMuchTakesNothingFromOthers(t *testing.T) {
	l := newLimiter(30, 100)
	now := time.Now()
	allowed(&l, 10_000, now, func(int) netip.Addr { return client })
	if got := allowed(&l, 1000, now, address); got != 70 {
		t.Errorf("%d lookups are left for the others, want 70", got)
	}
}

func TestSourcesCanBeUnlimited(t *testing.T) {
	l := newLimiter(0, 1000)
	if got := allowed(&l, 2000, time.Now(), func(int) netip.Addr { return client }); got != 1000 || len(l.sources) > 0 {
		t.Errorf("%d of 1000 lookups, %d sources", got, len(l.sources))
	}
}

// 100 lookups a second by ever new sources: a minute's sources are remembered, and
// as many again that wait to be swept.
func TestSourcesAreForgotten(t *testing.T) {
	l := newLimiter(1, 100)
	now := time.Now()
	most := 0
	for i := range 60_000 {
		now = now.Add(10 * time.Millisecond)
		if err := l.take(address(i), now); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(l.sources))
	}
	if most > 2*6001+64 {
		t.Errorf("%d sources at once", most)
	}
	for i := 60_000 - 5_999; i < 60_000; i++ { // the last minute's
		if err := l.take(address(i), now); !errors.Is(err, errSource) {
			t.Fatalf("source %d has been forgotten: %v", i, err)
		}
	}
}

func TestLookupsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAskingZone(t, Options{MissesPerSource: 3, MissesPerSecond: 5}, zone{})
		name := func(i int) string { return fmt.Sprintf("x%d.example", i) }
		for i := range 3 {
			a.expect(t, name(i), "", ErrNotFound, 2)
		}
		a.expect(t, name(3), "", errSource, 0)
		a.expect(t, name(0), "", ErrNotFound, 0) // remembered: no miss
		for i := range 3 {
			want := []error{ErrNotFound, ErrNotFound, errAll}[i]
			if _, err := a.Lookup(t.Context(), name(10+i), address(i)); !errors.Is(err, want) {
				t.Errorf("client %d: %v, want %v", i, err, want)
			}
		}
		a.asked()
		after(20 * time.Second)
		a.expect(t, name(4), "", ErrNotFound, 2)
		a.expect(t, name(5), "", errSource, 0)
	})
}

func TestLookupsUnderWayAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, Options{MissesPerSecond: 10_000, MaxLookups: 40}, func(ctx context.Context, _ netip.AddrPort, _ *dns.Msg) (*dns.Msg, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		var clients sync.WaitGroup
		for i := range 40 {
			clients.Go(func() {
				if _, err := a.Lookup(t.Context(), fmt.Sprintf("x%d.example", i), client); !errors.Is(err, ErrTemporary) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		a.asked()
		a.expect(t, www, "", errBusy, 0)
		clients.Wait()
		a.asked()
		a.expect(t, www, "", ErrTemporary, 2)
	})
}
