package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/gwtest/pebble"
)

func TestWildcardAndApexAreObtained(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "a.test", IncludeApex: true})
	var attested atomic.Int64
	w.opts.Attest = func(_ context.Context, s Subject) (Evidence, error) {
		attested.Add(1)
		return Evidence{Quote: "quote of " + s.Kind}, nil
	}
	m, _ := run(t, w.opts)
	roots := w.Issuers(t)
	var names []string
	for range 2 {
		c := w.told.next(t)
		if key, ok := c.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("key is a %T: want P-256", c.PrivateKey)
		}
		pool := x509.NewCertPool()
		for _, der := range c.Certificate[1:] {
			i, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			pool.AddCert(i)
		}
		if _, err := c.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: pool}); err != nil {
			t.Error(err)
		}
		names = append(names, c.Leaf.DNSNames...)
	}
	if slices.Sort(names); !slices.Equal(names, []string{"*.a.test", "a.test"}) {
		t.Errorf("names are %q", names)
	}
	await(t, "evidence of two keys and the account", func() bool { return attested.Load() >= 3 })
	var info Info
	await(t, "the evidence in the info", func() bool {
		info, _ = m.Info("a.test")
		return info.AccountQuote != "" && len(info.QuotedHistKeys) == 2 && !info.QuotedHistKeys[0].NotAfter.IsZero() && !info.QuotedHistKeys[1].NotAfter.IsZero()
	})
	if info.AccountURI == "" || !strings.Contains(info.ActiveCert, "BEGIN CERTIFICATE") || len(info.HistKeys) != 2 ||
		info.QuotedHistKeys[0].Quote != "quote of zt-cert" || info.AccountQuote != "quote of acme-account" {
		t.Errorf("info is %+v", info)
	}
	if n := attested.Load(); n != 3 {
		t.Errorf("%d things were attested: want each of 3 once", n)
	}
	if n := w.zone.left(); n != 0 {
		t.Errorf("%d challenge records are left", n)
	}
	s := m.Status()
	if len(s) != 2 || s[0].Name != "*.a.test" || s[0].Issuer != w.Directory || s[0].NotAfter.IsZero() || s[0].LastError != "" || !s[0].NextTry.After(time.Now()) {
		t.Errorf("status is %+v", s)
	}
}

func TestStoredCertificateIsServedWithoutAnOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "b.test"})
	_, stop := run(t, w.opts)
	first := w.told.next(t)
	stop()
	w.Stop() // the authority is not needed

	m, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	missing, err := m.Load(t.Context())
	if err != nil || len(missing) != 0 {
		t.Fatalf("load: missing %q, %v", missing, err)
	}
	if again := w.told.next(t); !again.Leaf.Equal(first.Leaf) {
		t.Error("another certificate is served")
	}
	if n := w.Count("Added order"); n != 1 {
		t.Errorf("%d orders were made", n)
	}
}

func TestSuggestedRenewalReplacesTheCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "c.test"})
	_, stop := run(t, w.opts)
	first := w.told.next(t)
	stop()
	now := time.Now()
	w.SuggestRenewal(t, first.Leaf, now.Add(-2*time.Hour), now.Add(-time.Hour))

	m, _ := run(t, w.opts)
	if c := w.told.next(t); !c.Leaf.Equal(first.Leaf) {
		t.Error("the stored certificate is not served first")
	}
	if c := w.told.next(t); c.Leaf.Equal(first.Leaf) || c.PrivateKey.(*ecdsa.PrivateKey).Equal(first.PrivateKey) {
		t.Error("the renewed certificate is not new, or has the old key")
	}
	if w.Count("is a replacement of") != 1 {
		t.Error("the authority was not told which certificate was replaced")
	}
	await(t, "both keys in the history", func() bool { i, _ := m.Info("c.test"); return len(i.HistKeys) == 2 })
}

func TestExternalAccountBinding(t *testing.T) {
	t.Parallel()
	const key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	w := newWorld(t, pebble.Options{EAB: map[string]string{"kid-1": key}}, Domain{Name: "d.test"})
	w.opts.CA.EAB = EAB{KeyID: "kid-2", MACKey: key}
	m, stop := run(t, w.opts)
	await(t, "a refusal", func() bool { s := m.Status(); return len(s) == 1 && s[0].Failures == 1 })
	if e := m.Status()[0].LastError; !strings.Contains(e, "external account binding kid-2") || strings.Contains(e, key) {
		t.Errorf("the error is %q", e)
	}
	stop()
	w.opts.CA.EAB.KeyID = "kid-1"
	w.opts.Store = newFileStore(t) // else the next try has to wait
	run(t, w.opts)
	w.told.next(t)
}

func TestRejectedNoncesAndSlowValidation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{
		RetryAfter: 1,
		Env:        []string{"PEBBLE_WFE_NONCEREJECT=50", "PEBBLE_VA_NOSLEEP=0", "PEBBLE_VA_SLEEPTIME=3"},
	}, Domain{Name: "e.test"})
	run(t, w.opts)
	w.told.next(t)
	if n := w.Count("Added order"); n != 1 {
		t.Errorf("%d orders were made", n)
	}
}

func TestSecondAuthorityIssuesWhileTheFirstIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "f.test"})
	w.opts.Fallback = w.opts.CA
	w.opts.CA.Directory = "https://localhost:1/dir"
	m, stop := run(t, w.opts)
	w.told.next(t)
	await(t, "the issuer", func() bool { s := m.Status(); return len(s) == 1 && s[0].Issuer == w.Directory })
	await(t, "the reason", func() bool { return strings.Contains(w.log.String(), "a certificate authority failed") })
	stop()
	// Who drops the authority still has its certificate, until there is another.
	w.opts.Fallback = Authority{}
	run(t, w.opts)
	w.told.next(t)
}

func TestProfileIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{Profiles: []string{"shortlived"}}, Domain{Name: "g.test"})
	w.opts.CA.Profile = "nosuch"
	m, stop := run(t, w.opts)
	await(t, "a refusal", func() bool { s := m.Status(); return len(s) == 1 && strings.Contains(s[0].LastError, "nosuch") })
	stop()
	w.opts.CA.Profile, w.opts.Store = "shortlived", newFileStore(t)
	run(t, w.opts)
	w.told.next(t)
}

func TestPreflightRefusesBeforeTheOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "h.test"})
	var asked atomic.Pointer[Order]
	w.opts.Preflight = func(_ context.Context, o Order) error {
		asked.Store(&o)
		return errors.New("caa forbids it")
	}
	m, _ := run(t, w.opts)
	await(t, "a refusal", func() bool {
		s := m.Status()
		return len(s) == 1 && strings.Contains(s[0].LastError, "caa forbids it")
	})
	if n := w.Count("Added order"); n != 0 {
		t.Errorf("%d orders were made", n)
	}
	o := asked.Load()
	if o.Name != "*.h.test" || o.Challenge != "dns-01" || len(o.Identities) == 0 || o.Account == "" {
		t.Errorf("preflight was asked %+v", o)
	}
}

func TestRehearsalTouchesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "i.test"}, Domain{Name: "blocked.test"})
	w.opts.CA.Staging, w.opts.CA.Directory = w.Directory, "https://localhost:1/dir"
	m, err := New(w.opts)
	if err != nil {
		t.Fatal(err)
	}
	list, err := m.Rehearse(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%d rehearsals, %v", len(list), err)
	}
	if list[0].Name != "*.blocked.test" || list[0].Err == nil || list[1].Err != nil {
		t.Errorf("rehearsals went %+v", list)
	}
	stored, err := w.opts.Store.List(t.Context(), "")
	if err != nil || len(stored) != 1 {
		t.Errorf("%d values are stored, want the staging account alone: %v", len(stored), err)
	}
	select {
	case <-w.told.all:
		t.Error("a rehearsed certificate is served")
	default:
	}
}

func TestDomainsAreAddedAndRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, pebble.Options{}, Domain{Name: "j.test"})
	m, _ := run(t, w.opts)
	w.told.next(t)
	if err := m.Reload([]Domain{{Name: "k.test"}, {Name: "K.test"}}); err == nil {
		t.Error("an upper case name was taken")
	}
	if err := m.Reload([]Domain{{Name: "k.test"}}); err != nil {
		t.Fatal(err)
	}
	if c := w.told.next(t); c.Leaf.DNSNames[0] != "*.k.test" {
		t.Errorf("certificate is for %q", c.Leaf.DNSNames)
	}
	await(t, "the removal", func() bool { s := m.Status(); return len(s) == 1 && s[0].Name == "*.k.test" })
	if _, ok := m.Info("j.test"); ok {
		t.Error("a removed domain is still told of")
	}
}
