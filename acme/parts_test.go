package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"
)

func newSilent() reaching { return func(string) {} }

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func zapLogger(h slog.Handler) *zap.Logger  { return zap.New(zapCore{h}) }
func zapString(key, value string) zap.Field { return zap.String(key, value) }

// selfMade is a certificate that checkChain takes, of no authority.
func selfMade(t testing.TB, name string, from, to time.Time) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, _, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(from.Unix()), DNSNames: []string{name}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, key
}

func tlsCertificate(leaf *x509.Certificate, key *ecdsa.PrivateKey) *tls.Certificate {
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func chainOf(leaf *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
}

func TestChainThatClientsCannotUseIsRefused(t *testing.T) {
	now := time.Now()
	good, key := selfMade(t, "*.a.test", now.Add(-time.Hour), now.Add(time.Hour))
	other, otherKey := selfMade(t, "*.b.test", now.Add(-time.Hour), now.Add(time.Hour))
	future, futureKey := selfMade(t, "*.a.test", now.Add(2*time.Hour), now.Add(3*time.Hour))
	for name, test := range map[string]struct {
		chain []byte
		key   *ecdsa.PrivateKey
		ok    bool
	}{
		"good":            {chainOf(good), key, true},
		"another key":     {chainOf(good), otherKey, false},
		"another name":    {chainOf(other), otherKey, false},
		"of the future":   {chainOf(future), futureKey, false},
		"empty":           {nil, key, false},
		"no PEM":          {[]byte("hello"), key, false},
		"rest is no PEM":  {append(chainOf(good), "hello"...), key, false},
		"endless":         {bytes.Repeat(chainOf(good), maxChain+1), key, false},
		"longest allowed": {bytes.Repeat(chainOf(good), maxChain), key, true},
	} {
		if _, err := checkChain(test.chain, "*.a.test", &test.key.PublicKey, now); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenewalIsWhenTheAuthoritySuggests(t *testing.T) {
	end := time.Now().Add(90 * 24 * time.Hour).Truncate(time.Second)
	leaf, _ := selfMade(t, "*.a.test", end.Add(-90*24*time.Hour), end)
	day := 24 * time.Hour
	suggested := func(before time.Duration) suggestion {
		return suggestion{Serial: leaf.SerialNumber.Text(16), Chosen: end.Add(-before)}
	}
	for name, test := range map[string]struct {
		before time.Duration
		s      suggestion
		want   time.Duration // before the end
	}{
		"a third by default":        {0, suggestion{}, 30 * day},
		"as configured":             {10 * day, suggestion{}, 10 * day},
		"more than the life":        {200 * day, suggestion{}, 30 * day},
		"as suggested, early":       {10 * day, suggested(80 * day), 80 * day},
		"as suggested, later":       {30 * day, suggested(20 * day), 20 * day},
		"not if it is too late":     {30 * day, suggested(day), 15 * day},
		"not after the end":         {30 * day, suggested(-day), 15 * day},
		"of another certificate":    {0, suggestion{Serial: "1", Chosen: end.Add(-80 * day)}, 30 * day},
		"where nothing was chosen":  {0, suggestion{Serial: leaf.SerialNumber.Text(16)}, 30 * day},
		"suggested before it began": {0, suggested(100 * day), 100 * day},
	} {
		if got := end.Sub(renewAt(leaf, test.before, test.s)); got != test.want {
			t.Errorf("%s: %v before the end, want %v", name, got, test.want)
		}
	}
}

func TestSuggestionIsKeptWhileItsWindowStays(t *testing.T) {
	now := time.Now()
	leaf, _ := selfMade(t, "*.a.test", now, now.Add(time.Hour))
	var info acme.RenewalInfo
	info.SuggestedWindow.Start, info.SuggestedWindow.End = now.Add(time.Hour), now.Add(1000*time.Hour)
	never := now.Add(-time.Hour)
	info.RetryAfter = &never
	var s suggestion
	s.update(leaf, info, now)
	chosen := s.Chosen
	if chosen.Before(info.SuggestedWindow.Start) || chosen.After(info.SuggestedWindow.End) {
		t.Errorf("chosen is %v", chosen)
	}
	if s.AskAgain.Before(now.Add(minAsk)) {
		t.Error("the authority is asked without a pause, because it said so")
	}
	s.update(leaf, info, now)
	if !s.Chosen.Equal(chosen) {
		t.Error("each question moves the renewal")
	}
	if s.ask(leaf, now) || !s.ask(leaf, now.Add(-48*time.Hour)) {
		t.Error("the next question does not follow a clock that is set back")
	}
	other, _ := selfMade(t, "*.a.test", now.Add(time.Minute), now.Add(time.Hour))
	if !s.ask(other, now) {
		t.Error("a new certificate is not asked for")
	}
}

func TestPauseGrowsAndHonoursRateLimits(t *testing.T) {
	for n, want := range map[int]time.Duration{-1: time.Minute, 1: time.Minute, 5: time.Hour, 1000: 12 * time.Hour} {
		if p := pause(n, errors.New("no")); p < want || p > want*11/10 {
			t.Errorf("after %d failures: %v, want %v and up to a tenth more", n, p, want)
		}
	}
	if p := pause(1, acme.Problem{Type: acme.ProblemTypeRateLimited}); p < time.Hour {
		t.Errorf("after a rate limit: %v", p)
	}
	now := time.Now()
	if next := boundedTry(now.Add(1000*time.Hour), now); next.Sub(now) > 14*time.Hour {
		t.Errorf("a clock that was wrong stops the tries for %v", next.Sub(now))
	}
}

func TestLeaseIsOneGatewaysAtATime(t *testing.T) {
	store := newFileStore(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := newLeases(store, "a"), newLeases(store, "b")
		never := func(err error) { t.Errorf("lost: %v", err) }
		release, err := a.hold(t.Context(), "x", never)
		if err != nil {
			t.Fatal(err)
		}
		for owner, l := range map[string]*leases{"another": b, "the same": a} { // it is kept longer than its TTL
			ctx, cancel := context.WithTimeout(t.Context(), 3*leaseTTL)
			if _, err := l.hold(ctx, "x", never); err == nil {
				t.Errorf("%s gateway got the lease too", owner)
			}
			cancel()
		}
		if err := release(t.Context()); err != nil {
			t.Fatal(err)
		}
		release, err = b.hold(t.Context(), "x", never)
		if err != nil {
			t.Fatal(err)
		}
		if err := release(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLostLeaseEndsTheWork(t *testing.T) {
	store := newFileStore(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, lost := context.WithCancelCause(t.Context())
		release, err := newLeases(store, "a").hold(ctx, "x", lost)
		if err != nil {
			t.Fatal(err)
		}
		store.mu.Lock()
		store.locks["x"] = lock{"b", time.Now().Add(time.Hour)}
		store.mu.Unlock()
		<-ctx.Done()
		if err := release(context.WithoutCancel(ctx)); err != nil || store.locks["x"].owner != "b" {
			t.Errorf("the other's lease was touched: %+v, %v", store.locks["x"], err)
		}
	})
}

func TestCertificateIsStoredWholeOrNotAtAll(t *testing.T) {
	store := newFileStore(t)
	s := newStorage(store, nil, nil)
	const base = "certificates/ca/wildcard_.a.test/wildcard_.a.test"
	for i, part := range []string{partKey, partChain, partMeta} {
		if all, err := store.List(t.Context(), ""); err != nil || len(all) != 0 {
			t.Errorf("after %d parts the store has %d values: %v", i, len(all), err)
		}
		if err := s.Store(t.Context(), base+part, []byte(`"`+part+`"`)); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := s.Load(t.Context(), base+partKey); err != nil || string(data) != `"`+partKey+`"` {
		t.Errorf("the key is %q, %v", data, err)
	}
	for _, key := range []string{"certificates/ca/a/b.crt", "certificates/ca/a/a.txt", "../x.crt", "acme/ca/users/u/u.key", ""} {
		if err := s.Store(t.Context(), key, nil); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
	if _, err := s.Load(t.Context(), "certificates/ca/b/b.crt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	m := &Manager{opts: Options{Store: newFileStore(t)}, accounts: map[string]accountRecord{}}
	for i := range maxHistory + 5 {
		r := keyRecord{SPKI: []byte{byte(i)}, Made: time.Unix(int64(i), 0)}
		if err := putJSON(t.Context(), m.opts.Store, r.key("a.test"), r); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.complete(t.Context(), "a.test", nil); err != nil {
		t.Error(err)
	}
	if list, err := m.history(t.Context(), "a.test"); err != nil || len(list) != maxHistory || list[0].SPKI[0] != 5 {
		t.Errorf("%d keys are left, %v", len(list), err)
	}
}

func FuzzStoredRecords(f *testing.F) {
	f.Add([]byte(`{"chain":"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----","key":"","meta":{}}`))
	f.Add([]byte(`{"key":"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var r certificateRecord
		if err := decode("x", data, &r); err == nil {
			if c, err := r.check("*.a.test", time.Unix(1e9, 0)); err == nil && (c.leaf().DNSNames[0] != "*.a.test" || c.cert.PrivateKey == nil) {
				t.Errorf("a certificate for %q was taken", c.leaf().DNSNames)
			}
		}
		var a accountRecord
		if err := decode("x", data, &a); err == nil {
			if account, err := a.account(); err == nil && account.PrivateKey == nil {
				t.Error("an account without a key was taken")
			}
		}
	})
}
