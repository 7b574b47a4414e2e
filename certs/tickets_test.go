package certs

import (
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"
)

// pass lets fake time go by, and all that is due then happen.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// run starts Run and ends it with the test.
func run(t *testing.T, x *Index) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestTicketIsResumedWithEveryConfig(t *testing.T) {
	ca := newAuthority(t)
	x := open(t, Options{}, ca.issue(t, nil).save(t, t.TempDir(), "gw.example"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cl := client(ca)
		cl.ClientSessionCache, cl.MaxVersion = tls.NewLRUClientSessionCache(1), version
		for i, a := range []string{"", "http/1.1", "mqtt", "postgresql", "mqtt", "h2"} {
			st, err := handshake(x.TLSConfig("gw.example", a), cl)
			if err != nil || st.DidResume != (i > 0) {
				t.Errorf("%s, %q: resumed %v, %v", tls.VersionName(version), a, st.DidResume, err)
			}
		}
	}
}

func TestTicketOutlivesARotationAndANewCertificate(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		x := open(t, Options{}, ca.issue(t, nil).save(t, dir, "gw.example"))
		defer run(t, x)()
		cl := client(ca)
		cl.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		if _, err := handshake(x.TLSConfig("gw.example", ""), cl); err != nil {
			t.Fatal(err)
		}
		first := x.tickets[0].key
		ca.issue(t, nil).save(t, dir, "gw.example")
		pass(ticketRotation + time.Minute)
		st, err := handshake(x.TLSConfig("gw.example", "http/1.1"), cl)
		if err != nil || !st.DidResume {
			t.Errorf("resumed %v, %v", st.DidResume, err)
		}
		if x.tickets[0].key == first || len(x.tickets) != 2 {
			t.Error("no rotation after half a day")
		}
	})
}

func TestTicketOfAnotherProcessIsAFullHandshake(t *testing.T) {
	ca := newAuthority(t)
	s := ca.issue(t, nil).save(t, t.TempDir(), "gw.example")
	cl := client(ca)
	cl.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for range 2 {
		st, err := handshake(open(t, Options{}, s).TLSConfig("gw.example", ""), cl)
		if err != nil || st.DidResume {
			t.Errorf("resumed %v, %v", st.DidResume, err)
		}
	}
}

func TestTicketKeyIsForgottenAfterADay(t *testing.T) {
	var keys tickets
	start := time.Now()
	for half := range 6 {
		now := start.Add(time.Duration(half) * 12 * time.Hour)
		if !keys.due(now) {
			t.Fatalf("half day %d: not due", half)
		}
		keys.rotate(now)
		if keys.due(now.Add(12*time.Hour - 1)) {
			t.Fatalf("half day %d: due too early", half)
		}
		if want := min(half+1, 2); len(keys) != want {
			t.Fatalf("half day %d: %d keys, want %d", half, len(keys), want)
		}
	}
}
