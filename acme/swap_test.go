package acme

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/internal/gwtest/pebble"
)

// 20 certificates are obtained and swapped while clients shake hands, 10,000 times at
// least: none may fail, and a connection that is up goes on.
func TestSwapsFailNoHandshake(t *testing.T) {
	t.Parallel()
	const swaps, handshakes = 20, 10_000
	w := newWorld(t, pebble.Options{}, Domain{Name: "swap.test"})
	var served atomic.Pointer[tls.Certificate]
	w.opts.OnCertificate = func(_ string, _ []string, c *tls.Certificate) { served.Store(c) }
	m, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	m.cache = newCache(m.zap)
	defer m.cache.Stop()
	work := &worker{m: m, domain: "swap.test", name: "*.swap.test"}
	work.try(t.Context())
	if served.Load() == nil {
		t.Fatal("no certificate to begin with")
	}

	addr := echo(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return served.Load(), nil }})
	client := &tls.Config{ServerName: "app.swap.test", RootCAs: w.Issuers(t), CurvePreferences: []tls.CurveID{tls.X25519}} // the cheapest: it is about certificates
	long, err := tls.Dial("tcp", addr, client)
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()

	var done, failed atomic.Int64
	var swapped atomic.Bool
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for !swapped.Load() || done.Load() < handshakes {
				conn, err := tls.Dial("tcp", addr, client)
				if err == nil {
					err = ping(conn)
					conn.Close()
				}
				if err != nil && failed.Add(1) < 5 {
					t.Error(err)
				}
				done.Add(1)
			}
		})
	}
	serials := map[string]bool{}
	for range swaps {
		work.try(t.Context())
		serials[served.Load().Leaf.SerialNumber.String()] = true
		if err := ping(long); err != nil {
			t.Error(err)
		}
	}
	swapped.Store(true)
	clients.Wait()
	if len(serials) != swaps || failed.Load() > 0 {
		t.Errorf("%d certificates were served, %d of %d handshakes failed", len(serials), failed.Load(), done.Load())
	}
	t.Logf("%d handshakes during and after %d swaps, %d failed", done.Load(), swaps, failed.Load())
}

// echo serves TLS that sends back what comes.
func echo(t *testing.T, config *tls.Config) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // the client tells
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		all.Wait()
	})
	return l.Addr().String()
}

func ping(conn net.Conn) error {
	if _, err := conn.Write([]byte("ping")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 4))
	return err
}
