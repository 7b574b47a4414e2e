package ratls

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvidenceIsRenewedBeforeItIsTooOld(t *testing.T) {
	for maxAge, want := range map[time.Duration]time.Duration{
		0: 12 * time.Hour, 30 * 24 * time.Hour: 12 * time.Hour, 24 * time.Hour: 12 * time.Hour,
		6 * time.Hour: 3 * time.Hour, time.Minute: 10 * time.Minute,
	} {
		if got := renewalFor(maxAge); got != want {
			t.Errorf("max_age %v: renewed after %v, want %v", maxAge, got, want)
		}
	}
	now := time.Now()
	d := keptCertificate{begins: now}
	for after, want := range map[time.Duration]bool{
		0: false, 12*time.Hour - 1: false, 12 * time.Hour: true, 48 * time.Hour: true,
		-time.Second: true, // the clock was set back: clients refuse it
	} {
		if got := d.due(now.Add(after), 12*time.Hour); got != want {
			t.Errorf("after %v: due %v", after, got)
		}
	}
}

// A source that fails for six hours is asked at minutes 0, 1, 3, 7, 15, 31 and every 30 from
// then on.
func TestFailingSourceIsAskedLessAndLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		r := NewRenewer(0)
		r.Log, r.kept = slog.New(slog.DiscardHandler), []*keptCertificate{{domain: "gw.test", begins: time.Now()}}
		r.Set = func(string, *tls.Certificate) error { return errors.New("nothing was made") }
		r.Attest = func(context.Context, [64]byte) ([]byte, error) {
			asked++
			return nil, net.ErrClosed
		}
		for range 18 * 60 {
			r.renew(t.Context())
			<-time.After(time.Minute)
		}
		if asked != 16 {
			t.Errorf("asked %d times, want 16", asked)
		}
	})
}
