package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"slices"
	"sync/atomic"
	"testing"

	"sallyport/internal/gwtest/pebble"
)

// Whoever sees a certificate, in a log of certificates or in a handshake, finds its key in
// Info, also where evidence is slow to come and right after a restart.
func TestKeyIsToldBeforeItsCertificateCanBeSeen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "told.test"})
	var m atomic.Pointer[Manager]
	told := func(spki []byte) bool {
		info, ok := m.Load().Info("told.test")
		return ok && slices.ContainsFunc(info.HistKeys, func(k []byte) bool { return bytes.Equal(k, spki) })
	}
	seen := make(chan struct{}, 10)
	w.opts.OnCertificate = func(_ string, _ []string, c *tls.Certificate) {
		if !told(c.Leaf.RawSubjectPublicKeyInfo) {
			t.Error("a certificate is served whose key is not told")
		}
		seen <- struct{}{}
	}
	var key atomic.Pointer[[]byte]
	w.opts.Attest = func(ctx context.Context, s Subject) (Evidence, error) {
		if s.Kind == SubjectAccount { // a quote source that hangs
			<-ctx.Done()
			return Evidence{}, ctx.Err()
		}
		key.Store(&s.Data)
		return Evidence{Quote: "q"}, nil
	}
	w.opts.Preflight = func(context.Context, Order) error {
		if k := key.Load(); k != nil && !told(*k) {
			t.Error("a certificate is ordered whose key is not told")
		}
		return nil
	}
	for range 2 {
		manager, err := New(w.opts)
		if err != nil {
			t.Fatal(err)
		}
		m.Store(manager)
		ctx, stop := context.WithCancel(t.Context())
		if _, err := manager.Load(ctx); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- manager.Run(ctx) }()
		<-seen
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if key.Load() == nil {
		t.Error("no key was attested")
	}
}
