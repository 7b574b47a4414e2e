package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// held is how many handshakes of a certificate are let in, or wait, at once.
const held = callBurst + int(maxCallWait/callInterval)

func TestExcessSlowsItsAddress(t *testing.T) {
	e, now := newExcess(), time.Unix(1_700_000_000, 0)
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for i := range held {
		if wait, ok := e.take(a, "greedy", now); !ok || wait != max(0, time.Duration(i+1-callBurst)*callInterval) {
			t.Errorf("handshake %d is held for %v, %v", i, wait, ok)
		}
	}
	if d := e.delay(a, now); d != 0 {
		t.Errorf("while all can be held it waits %v", d)
	}
	if _, ok := e.take(a, "greedy", now); ok {
		t.Error("there is no end to those that are held")
	}
	for i := range 150 {
		if d, want := e.delay(a, now), min(time.Duration(i)*slowInterval, slowDelay); d != want {
			t.Errorf("connection %d waits %v, want %v", i, d, want)
		}
	}
	if d := e.delay(b, now); d != 0 {
		t.Errorf("another address waits %v", d)
	}
	if wait, ok := e.take(a, "modest", now); wait != 0 || !ok {
		t.Errorf("another certificate at the same address is held for %v, %v", wait, ok)
	}
	now = now.Add(slowFor + time.Second)
	if d := e.delay(a, now); d != 0 || len(e.slow) != 0 {
		t.Errorf("%v later it waits %v, %d addresses are slow", slowFor, d, len(e.slow))
	}
}

func TestSlowAddressesAreBounded(t *testing.T) {
	e, now := newExcess(), time.Unix(1_700_000_000, 0)
	at := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
	}
	for i := range maxSlow + 10 {
		e.note(at(i), now)
	}
	if len(e.slow) != maxSlow {
		t.Errorf("%d are slow, want %d", len(e.slow), maxSlow)
	}
	e.note(at(maxSlow+20), now.Add(slowFor+time.Second))
	if len(e.slow) != 1 {
		t.Errorf("%d are slow after all others are forgotten", len(e.slow))
	}
}

// The clock is the bubble's: what is measured is what the server makes its clients wait.
func TestGuestsBeyondTheirPaceWait(t *testing.T) {
	w := newWorld(t, nil)
	ever := func(name string) tls.Certificate {
		return w.app.issue(t, &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().AddDate(100, 0, 0),
		})
	}
	greedy, other := ever("app1.greedy"), ever("app1.other")
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.server.Serve(ctx, p) }()
		came := func(from string, cert tls.Certificate, call bool) time.Duration {
			t.Helper()
			began := time.Now()
			raw := p.dial(from)
			defer raw.Close() // not c, which waits for the peer to read its last words
			c := tls.Client(raw, &tls.Config{
				RootCAs: w.root.pool(), ServerName: "gw.example", Certificates: []tls.Certificate{cert},
				Time: func() time.Time { return w.guest.Leaf.NotBefore },
			})
			if err := c.Handshake(); err != nil {
				t.Error(err)
			}
			if call {
				_, _ = io.WriteString(c, "GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
				if n, err := c.Read(make([]byte, 64)); n == 0 {
					t.Error(err)
				}
			}
			synctest.Wait() // until the server has looked at the certificate
			return time.Since(began)
		}
		others := func(same time.Duration) {
			t.Helper()
			if took := came("192.0.2.2:1", other, true); took != 0 {
				t.Errorf("a guest at another address waits %v", took)
			}
			if took := came("192.0.2.1:1", other, true); took > same {
				t.Errorf("a guest at the same address waits %v, want %v at most", took, same)
			}
		}

		// One after the other, each for its answer.
		began := time.Now()
		for range callBurst + 20 {
			came("192.0.2.1:1", greedy, true)
		}
		if took, want := time.Since(began), 19*callInterval; took < want {
			t.Errorf("20 answers beyond the pace took %v, want %v or more", took, want)
		}
		others(0)

		// And without waiting for one: so often that they cannot all be held.
		for range held {
			came("192.0.2.1:1", greedy, false)
		}
		began = time.Now()
		for range 100 {
			came("192.0.2.1:1", greedy, false)
		}
		if took, want := time.Since(began), 99*slowInterval; took < want {
			t.Errorf("100 handshakes from a slow address took %v, want %v or more", took, want)
		}
		others(slowDelay)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
