package customdomain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// gate lets queries through when it is opened.
type gate chan struct{}

func (g gate) answer(ctx context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	select {
	case <-g:
		return record("a:1").answer(q), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestEqualLookupsAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		a := newAsking(t, Options{MissesPerSource: 1}, g.answer)
		var clients sync.WaitGroup
		for range 100 {
			clients.Go(func() {
				if got, err := a.Lookup(t.Context(), www, client); err != nil || got != target(t, "a:1") {
					t.Errorf("%v, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(g)
		clients.Wait()
		if got := a.asked(); len(got) != 1 {
			t.Errorf("asked for %q", got)
		}
	})
}

// A panic on a flight's goroutine would end the process, and with it the test. With
// Legacy there is a second goroutine.
func TestPanicEndsOneLookup(t *testing.T) {
	for _, bad := range []string{"_dstack-app-address." + www + ".", "_tapp-address." + www + "."} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			a := newAsking(t, Options{Legacy: true, Log: slog.New(slog.NewTextHandler(&log, nil))},
				func(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
					if q.Question[0].Name == bad {
						panic("boom")
					}
					return zone{strings.TrimSuffix(q.Question[0].Name, "."): "a:1"}.answer(q), nil
				})
			if bad[1] == 't' { // it is asked for only where the other name has nothing
				a.exchange = afterNothing(a.exchange)
			}
			if _, err := a.Lookup(t.Context(), www, client); !errors.Is(err, ErrInternal) || !errors.Is(err, ErrTemporary) {
				t.Errorf("%s: %v, want an internal error", bad, err)
			}
			if text := log.String(); !strings.Contains(text, "panic=boom") || !strings.Contains(text, "flight_test.go") {
				t.Errorf("%s: the log does not tell of the panic and its stack: %s", bad, text)
			}
			if _, err := a.Lookup(t.Context(), "other."+www, client); err != nil {
				t.Errorf("%s: another name: %v", bad, err)
			}
		})
	}
}

// afterNothing is e, but the name of new guests has no record for www.
func afterNothing(e exchangeFunc) exchangeFunc {
	return func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
		if q.Question[0].Name == "_dstack-app-address."+www+"." {
			return zone{}.answer(q), nil
		}
		return e(ctx, network, server, q)
	}
}

func TestClientThatLeavesDoesNotEndTheLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := make(gate)
		a := newAsking(t, Options{}, g.answer)
		ctx, leave := context.WithCancelCause(t.Context())
		gone := errors.New("the client left")
		time.AfterFunc(time.Millisecond, func() { leave(gone) })
		if _, err := a.Lookup(ctx, www, client); !errors.Is(err, ErrTemporary) || !errors.Is(err, gone) {
			t.Error(err)
		}
		close(g)
		synctest.Wait()
		if got, ok := a.Cached([]byte(www)); !ok || got != target(t, "a:1") {
			t.Errorf("%v, %v", got, ok)
		}
	})
}

func TestSlowResolverIsWaitedForThenTheNextIsAsked(t *testing.T) {
	slow, fast := netip.MustParseAddrPort("192.0.2.1:53"), netip.MustParseAddrPort("192.0.2.2:53")
	for took, want := range map[time.Duration]string{time.Second: "slow:1", 2 * time.Second: "fast:1"} {
		synctest.Test(t, func(t *testing.T) {
			a := newAsking(t, Options{Resolvers: []netip.AddrPort{slow, fast}},
				func(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
					if server == fast {
						return record("fast:1").answer(q), nil
					}
					select {
					case <-time.After(took):
						return record("slow:1").answer(q), nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				})
			start := time.Now()
			if got, err := a.Lookup(t.Context(), www, client); err != nil || got != target(t, want) {
				t.Errorf("%v: %v, %v; want %s", took, got, err, want)
			}
			if got := time.Since(start); got != min(took, tryTimeout) {
				t.Errorf("%v: took %v", took, got)
			}
		})
	}
}

func TestSilentResolverIsAskedTwiceThenGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, Options{}, make(gate).answer)
		start := time.Now()
		a.expect(t, www, "", ErrTemporary, 2)
		if got := time.Since(start); got != 2*tryTimeout {
			t.Errorf("took %v", got)
		}
	})
}

func TestLookupEndsWithItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := make([]netip.AddrPort, 8)
		for i := range many {
			many[i] = netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:53", i))
		}
		a := newAsking(t, Options{Resolvers: many, Legacy: true}, make(gate).answer)
		start := time.Now()
		a.expect(t, www, "", ErrTemporary, 2*4)
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("took %v", got)
		}
	})
}

func TestDeadResolversAreATemporaryFailure(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := netip.MustParseAddrPort(udp.LocalAddr().String())
	udp.Close()
	r := newResolver(t, Options{Resolvers: []netip.AddrPort{dead}})
	if _, err := r.Lookup(t.Context(), www, client); !errors.Is(err, ErrTemporary) {
		t.Error(err)
	}
	r = newResolver(t, Options{Resolvers: []netip.AddrPort{dead, nameserver(t, customers.serve)}})
	if got, err := r.Lookup(t.Context(), www, client); err != nil || got != target(t, "app1:443") {
		t.Errorf("with one that lives: %v, %v", got, err)
	}
	if _, err := newResolver(t, Options{}).Lookup(t.Context(), www, client); !errors.Is(err, ErrTemporary) {
		t.Errorf("without any: %v", err)
	}
}

func TestCloseEndsLookups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsking(t, Options{}, make(gate).answer)
		time.AfterFunc(time.Millisecond, a.Close)
		start := time.Now()
		a.expect(t, www, "", ErrTemporary, 1)
		a.expect(t, "other.example", "", ErrTemporary, 0)
		if got := time.Since(start); got != time.Millisecond {
			t.Errorf("took %v", got)
		}
	})
}

// Between not finding an answer and asking for it, another lookup may have found it.
func TestLookupThatEndedJustNowIsNotRepeated(t *testing.T) {
	a := newAskingZone(t, Options{}, zone{})
	a.remember(www, answer{target: target(t, "a:1"), ttl: time.Minute})
	f, err := a.join(www, client)
	if err != nil {
		t.Fatal(err)
	}
	<-f.done
	if f.answer.target != target(t, "a:1") || len(a.asked()) > 0 {
		t.Errorf("%v", f.answer)
	}
}
