package ratls

import (
	"errors"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
)

func TestForgedIntelIsRefused(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	forger := &world{PKI: tdxpki.New(2, worldTime())}
	wantRefused(t, v, forger.evidence(t, tdxpki.Guest{}), "PCK chain: its root is not the trusted root")
	if n := w.asked.Load(); n != 0 {
		t.Errorf("collateral was asked for %d times", n)
	}
	// Its machine's certificate below the true root's name and certificate.
	e := forger.evidence(t, tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.SetChain(forger.Leaf, forger.Platform, w.Root) }})
	wantRefused(t, v, e, "PCK chain: intermediate: not issued by the root")
	e = forger.evidence(t, tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.SetChain(forger.Leaf, w.Platform, w.Root) }})
	wantRefused(t, v, e, "PCK chain: leaf:")
	if n := w.asked.Load(); n != 0 {
		t.Errorf("collateral was asked for %d times", n)
	}
	// A true platform's chain, which anybody may copy, but the forger's signatures.
	e = forger.evidence(t, tdxpki.Guest{ChangeQuote: func(q *tdxpki.Quote) { q.SetChain(w.Leaf, w.Platform, w.Root) }})
	wantRefused(t, v, e, "QE report signature:")
}

// The verifier's own root counts, whatever the source of collateral holds.
func TestCollateralOfAnotherRootDoesNotHelp(t *testing.T) {
	w := newWorld(t)
	forger := &world{PKI: tdxpki.New(2, worldTime())}
	forger.publish(t, nil)
	v, err := NewVerifier(VerifierOptions{Collateral: forger, Root: w.Root.Cert(), Now: w.now})
	if err != nil {
		t.Fatal(err)
	}
	wantRefused(t, v, forger.evidence(t, tdxpki.Guest{}), "PCK chain: its root is not")
	wantRefused(t, v, w.evidence(t, tdxpki.Guest{}), "PCK certificates:")
}

func TestRevokedPlatformIsRefused(t *testing.T) {
	w := newWorld(t)
	w.publish(t, func(c *tdxpki.Collateral) { c.PCKCRL = c.PCKCRL.Revoke(w.Leaf) })
	wantRefused(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{}), "PCK certificate revocation:")
}

// A platform below all levels is worse than one that is out of date.
func TestPlatformBelowAllLevelsIsRefused(t *testing.T) {
	w := newWorld(t)
	w.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = 0 })
	err := refusal(t, w.verifier(t, nil), w.evidence(t, tdxpki.Guest{}), "platform TCB: no TCB level matches")
	wantPolicy(t, err, false)
}

func TestUnavailableCollateralDecidesNothing(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	w.fail(pccs.ErrUnavailable)
	if err := refusal(t, v, e, "collateral: "); !errors.Is(err, pccs.ErrUnavailable) {
		t.Errorf("%v is not %v", err, pccs.ErrUnavailable)
	}
	w.err.Store(nil)
	wantAccepted(t, v, e)
}

// Nobody may be judged by documents of another time.
func TestCollateralOutOfTimeDecidesNothing(t *testing.T) {
	for name, shift := range map[string]time.Duration{"ended": 60 * 24 * time.Hour, "not begun": -60 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.verifier(t, nil)
			w.publish(t, func(c *tdxpki.Collateral) {
				if shift > 0 {
					c.TCBInfo.NextUpdate = worldTime().Add(-time.Second)
				} else {
					c.TCBInfo.IssueDate = worldTime().Add(time.Second)
				}
			})
			err := refusal(t, v, w.evidence(t, tdxpki.Guest{}), "TCB info window: ")
			if !errors.Is(err, pccs.ErrUnavailable) {
				t.Errorf("%v is not %v", err, pccs.ErrUnavailable)
			}
		})
	}
}
