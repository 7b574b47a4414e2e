package customdomain

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const www = "www.customer.org"

// switching is a zone that can be exchanged while it is served, and fail.
type switching struct {
	mu   sync.Mutex // guards what follows
	zone zone
	err  error
}

func (s *switching) set(z zone, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone, s.err = z, err
}

func (s *switching) answer(_ context.Context, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	return s.zone.answer(q), nil
}

// record is a zone in which www has the given record.
func record(text string) zone { return zone{"_dstack-app-address." + www: `"` + text + `"`} }

// expect looks name up, and checks what comes of it and how many names were asked for.
func (a *asking) expect(t *testing.T, name, want string, wantErr error, wantAsked int) {
	t.Helper()
	got, err := a.Lookup(t.Context(), name, client)
	if !errors.Is(err, wantErr) || err == nil && got != target(t, want) {
		t.Errorf("%s: %v, %v; want %s, %v", name, got, err, want, wantErr)
	}
	if asked := a.asked(); len(asked) != wantAsked {
		t.Errorf("%s: asked for %q, want %d", name, asked, wantAsked)
	}
}

func TestRecordIsRememberedForItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns switching
		dns.set(record("a:1"), nil) // TTL 60
		a := newAsking(t, Options{}, dns.answer)
		if _, ok := a.Cached([]byte(www)); ok {
			t.Error("remembered before it was looked up")
		}
		a.expect(t, www, "a:1", nil, 1)
		dns.set(record("b:1"), nil)
		after(59 * time.Second)
		a.expect(t, "www.customer.org", "a:1", nil, 0)
		if got, ok := a.Cached([]byte("www.customer.org")); !ok || got != target(t, "a:1") {
			t.Errorf("Cached: %v, %v", got, ok)
		}
		after(time.Second)
		if _, ok := a.Cached([]byte(www)); ok {
			t.Error("remembered for longer than its TTL")
		}
		a.expect(t, www, "b:1", nil, 1)
	})
}

func TestTTLIsClamped(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		0: minFound, minFound: minFound, time.Minute: time.Minute, maxFound: maxFound, 1 << 62: maxFound,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newResolver(t, Options{})
			e := r.remember(www, answer{target: target(t, "a:1"), ttl: ttl})
			if got := time.Until(e.fresh); got != want {
				t.Errorf("%v: %v, want %v", ttl, got, want)
			}
		})
	}
}

func TestAbsenceIsRememberedForTenSeconds(t *testing.T) {
	for name, tc := range map[string]struct {
		zone zone
		err  error
	}{"absent": {zone{}, ErrNotFound}, "broken": {record("a"), ErrBroken}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dns switching
				dns.set(tc.zone, nil)
				a := newAsking(t, Options{}, dns.answer)
				if _, err := a.Lookup(t.Context(), www, client); !errors.Is(err, tc.err) {
					t.Error(err)
				}
				a.asked()
				dns.set(record("a:1"), nil)
				after(absentFor - 1)
				a.expect(t, www, "", tc.err, 0)
				after(1)
				a.expect(t, www, "a:1", nil, 1)
			})
		})
	}
}

func TestFailureIsRememberedForOneSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns switching
		dns.set(nil, errors.New("connection refused"))
		a := newAsking(t, Options{}, dns.answer)
		a.expect(t, www, "", ErrTemporary, 1)
		dns.set(record("a:1"), nil)
		after(time.Second - 1)
		a.expect(t, www, "", ErrTemporary, 0)
		after(1)
		a.expect(t, www, "a:1", nil, 1)
	})
}

func TestOldRecordServesWhileDNSFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dns switching
		dns.set(record("a:1"), nil)
		a := newAsking(t, Options{}, dns.answer)
		a.expect(t, www, "a:1", nil, 1)
		dns.set(nil, errors.New("connection refused"))
		after(time.Minute)
		a.expect(t, www, "a:1", nil, 1)
		if got, ok := a.Cached([]byte(www)); !ok || got != target(t, "a:1") {
			t.Errorf("Cached: %v, %v", got, ok)
		}
		after(staleFor) // it is asked for again
		a.expect(t, www, "a:1", nil, 1)
		after(maxStale - staleFor) // an hour since its TTL passed, however often it was asked for
		a.expect(t, www, "", ErrTemporary, 1)
	})
}

func TestOldRecordServesWhileTheLimitIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAskingZone(t, Options{MissesPerSource: 1}, record("a:1"))
		a.expect(t, www, "a:1", nil, 1)
		after(time.Minute) // the TTL has passed, and the client may look up one name
		a.expect(t, "x.example", "", ErrNotFound, 2)
		a.expect(t, www, "a:1", nil, 0)
		a.expect(t, "y.example", "", ErrLimited, 0)
	})
}

func TestRemovedRecordDoesNotServeOn(t *testing.T) {
	for name, tc := range map[string]struct {
		zone zone
		err  error
	}{"absent": {zone{}, ErrNotFound}, "broken": {record("a"), ErrBroken}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var dns switching
				dns.set(record("a:1"), nil)
				a := newAsking(t, Options{}, dns.answer)
				a.expect(t, www, "a:1", nil, 1)
				after(time.Minute)
				dns.set(tc.zone, nil)
				if _, err := a.Lookup(t.Context(), www, client); !errors.Is(err, tc.err) {
					t.Error(err)
				}
				dns.set(nil, errors.New("connection refused"))
				after(absentFor)
				if got, err := a.Lookup(t.Context(), www, client); !errors.Is(err, ErrTemporary) {
					t.Errorf("%v, %v", got, err)
				}
			})
		})
	}
}
