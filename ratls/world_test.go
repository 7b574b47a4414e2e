package ratls

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// worldTime is when the synthetic TDX worlds are valid.
func worldTime() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

// A world is a synthetic Intel, a source of its collateral, and a clock: all that a
// Verifier stands on.
type world struct {
	*tdxpki.PKI
	clock atomic.Int64 // seconds after worldTime

	held  atomic.Pointer[qvl.Prepared]
	err   atomic.Pointer[error] // instead
	asked atomic.Int64
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{PKI: tdxpki.New(1, worldTime())}
	w.publish(t, nil)
	return w
}

// publish replaces the collateral by one with a change.
func (w *world) publish(t testing.TB, change func(*tdxpki.Collateral)) {
	t.Helper()
	c := w.Collateral()
	if change != nil {
		change(c)
	}
	parsed, err := qvl.ParseCollateral(c.Sign().File())
	if err != nil {
		t.Fatal(err)
	}
	p, err := qvl.Prepare(parsed, w.Root.Cert())
	if err != nil {
		t.Fatal(err)
	}
	w.held.Store(p)
}

var _ CollateralSource = (*world)(nil)

func (w *world) Prepared(context.Context, pccs.Platform) (*qvl.Prepared, error) {
	w.asked.Add(1)
	if err := w.err.Load(); err != nil {
		return nil, *err
	}
	return w.held.Load(), nil
}

func (w *world) fail(err error) { w.err.Store(&err) }

func (w *world) now() time.Time { return worldTime().Add(time.Duration(w.clock.Load()) * time.Second) }

func (w *world) sleep(d time.Duration) { w.clock.Add(int64(d / time.Second)) }

func (w *world) verifier(t testing.TB, p *Policy) *Verifier {
	t.Helper()
	v, err := NewVerifier(VerifierOptions{Collateral: w, Policy: p, Root: w.Root.Cert(), Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// evidence is that of a guest's certificate.
func (w *world) evidence(t testing.TB, g tdxpki.Guest) Evidence {
	t.Helper()
	return evidenceOf(t, w.Guest(g).Certificate.Leaf)
}

func evidenceOf(t testing.TB, leaf *x509.Certificate) Evidence {
	t.Helper()
	e, err := EvidenceOf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func wantRefused(t *testing.T, v *Verifier, e Evidence, want string) {
	t.Helper()
	_ = refusal(t, v, e, want)
}

// refusal checks that Appraise and Examine refuse alike, and why.
func refusal(t *testing.T, v *Verifier, e Evidence, want string) error {
	t.Helper()
	verdict, err := v.Appraise(t.Context(), e)
	if verdict != nil || err == nil {
		t.Fatalf("accepted: %+v, want %q", verdict, want)
	}
	wantError(t, err, want)
	r := v.Examine(t.Context(), e)
	if r.Verdict != nil || r.Err == nil || r.Err.Error() != err.Error() {
		t.Fatalf("examined: %+v, %v\nappraised: %v", r.Verdict, r.Err, err)
	}
	broken := 0
	names := make(map[string]bool)
	for _, s := range r.Steps {
		if s.Err != nil {
			broken++
		}
		if names[s.Name] {
			t.Errorf("two steps are named %q", s.Name)
		}
		names[s.Name] = true
	}
	if broken == 0 {
		t.Fatalf("no step is broken: %v", err)
	}
	return err
}

func wantAccepted(t testing.TB, v *Verifier, e Evidence) *Verdict {
	t.Helper()
	verdict, err := v.Appraise(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

// wantPolicy checks that a refusal is one of genuine evidence.
func wantPolicy(t *testing.T, err error, is bool) {
	t.Helper()
	if errors.Is(err, ErrPolicy) != is || strings.Contains(err.Error(), "refused by policy") != is {
		t.Errorf("%v: refused by policy is %v, want %v", err, !is, is)
	}
}
