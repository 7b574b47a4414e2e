package ratls

import (
	"context"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"sallyport/ratls/qvl"
)

// A Verifier judges evidence completely: the hardware's signatures up to Intel's
// root, what Intel says of the platform, the event log, the binding to the
// certificate's key, and a [Policy]. All methods may be called concurrently.
type Verifier struct {
	source   CollateralSource
	root     *x509.Certificate
	now      func() time.Time
	policy   atomic.Pointer[Policy]
	verdicts verdictCache
}

// VerifierOptions make a Verifier. Collateral is required.
type VerifierOptions struct {
	Collateral CollateralSource
	Policy     *Policy           // nil: the zero Policy
	Root       *x509.Certificate // nil: Intel's. Others, which Collateral must have too, are for tests
	Now        func() time.Time  // nil: time.Now. Others are for evidence of the past
}

// NewVerifier makes a Verifier. It does no I/O.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	if o.Collateral == nil {
		return nil, errors.New("verifier without a source of collateral")
	}
	v := &Verifier{source: o.Collateral, root: o.Root, now: o.Now}
	if v.root == nil {
		v.root = qvl.IntelRoot()
	}
	if v.now == nil {
		v.now = time.Now
	}
	if o.Policy == nil {
		o.Policy = &Policy{}
	}
	v.policy.Store(o.Policy)
	return v, nil
}

// SetPolicy replaces the policy. Verdicts under the old one are given no more; whoever
// holds one asks again.
func (v *Verifier) SetPolicy(p *Policy) { v.policy.Store(p) }

// Appraise judges evidence: it implements [Appraiser]. The error tells the first
// rule that is broken; it wraps [ErrPolicy] where the evidence is genuine, and
// [pccs.ErrUnavailable] where nothing could be judged. A verdict is remembered until
// collateral, policy or time could change it.
func (v *Verifier) Appraise(ctx context.Context, e Evidence) (*Verdict, error) {
	if len(e.PublicKey) == 0 {
		return nil, errors.New("evidence without the key that it is for")
	}
	key, policy := e.digest(), v.policy.Load()
	if found := v.verdicts.get(key); found != nil && found.policy == policy && v.now().Before(found.until) {
		if c, err := v.source.Prepared(ctx, found.platform); err == nil && c == found.collateral {
			return found.verdict, found.err
		}
	}
	a := v.appraisal(e, policy)
	a.hasty = true
	verdict, err := a.run(ctx)
	if a.collateral != nil {
		v.verdicts.put(key, a.entry(verdict, err))
	}
	return verdict, err
}

// A Report is a verdict for people to read.
type Report struct {
	Verdict *Verdict // nil: refused
	Err     error    // the first rule that is broken
	Steps   []Step   // every rule that could be applied, in order
}

// A Step is one rule and how it turned out.
type Step = qvl.Step

// Examine judges evidence anew and goes on after the first broken rule. Unlike Appraise
// it takes evidence without a public key, or a quote without an event log: what
// they would prove is not proven then, and has no step.
func (v *Verifier) Examine(ctx context.Context, e Evidence) Report {
	a := v.appraisal(e, v.policy.Load())
	verdict, err := a.run(ctx)
	return Report{Verdict: verdict, Err: err, Steps: a.steps}
}

func (v *Verifier) appraisal(e Evidence, p *Policy) *appraisal {
	return &appraisal{Verifier: v, evidence: e, rules: p, at: v.now()}
}
