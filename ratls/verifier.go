package ratls

import (
	"context"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// A Verifier judges evidence completely: the hardware's signatures up to Intel's
// root, what Intel says of the platform, the event log, the binding to the
// certificate's key, and a [Policy]. It has no switch that leaves one of them out. All
// methods may be called concurrently.
type Verifier struct {
	source   CollateralSource
	root     *x509.Certificate
	now      func() time.Time
	policy   atomic.Pointer[Policy] // never nil
	verdicts *verdictCache
}

// A CollateralSource has what Intel publishes about a kind of platform, its signatures
// checked. [pccs.Client] and [pccs.Fixed] are such.
type CollateralSource interface {
	// Prepared returns the same pointer as long as nothing changed. It may fetch
	// until ctx ends. An error that wraps [pccs.ErrUnavailable] says nothing about
	// evidence. It may be called concurrently.
	Prepared(ctx context.Context, p pccs.Platform) (*qvl.Prepared, error)
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
		return nil, errors.New("verifier: VerifierOptions.Collateral is nil, want a source of collateral")
	}
	v := &Verifier{source: o.Collateral, root: o.Root, now: o.Now, verdicts: newVerdictCache()}
	if v.root == nil {
		v.root = qvl.IntelRoot()
	}
	if v.now == nil {
		v.now = time.Now
	}
	v.SetPolicy(o.Policy)
	return v, nil
}

// SetPolicy replaces the policy; nil is the zero Policy. No verdict under the old one is
// given after it returns, but for one that was just being given. Whoever holds one asks again.
func (v *Verifier) SetPolicy(p *Policy) {
	if p == nil {
		p = &Policy{}
	}
	v.policy.Store(p)
}

// Policy returns the policy in force, which must not be changed.
func (v *Verifier) Policy() *Policy { return v.policy.Load() }

// Appraise judges evidence: it implements [Appraiser]. The error tells the first
// rule that is broken. It wraps [ErrPolicy] where the evidence is genuine, and
// [pccs.ErrUnavailable] where nothing could be judged: then try again later. Evidence
// without a public key, or a quote without an event log, is refused. Whose machine it is
// follows only where [Verdict.SystemKnown], or from whoever has judged it besides.
//
// A verdict is remembered until collateral, policy or time could change it.
func (v *Verifier) Appraise(ctx context.Context, e Evidence) (*Verdict, error) {
	if len(e.PublicKey) == 0 {
		return nil, errors.New("evidence without a public key")
	}
	for _, r := range v.verdicts.get(&e) {
		if v.stands(ctx, r) {
			return r.verdict, r.err
		}
	}
	a := appraisal{Verifier: v, evidence: e, hasty: true}
	verdict, err := a.run(ctx)
	if a.collateral != nil {
		v.verdicts.put(a.remember(verdict, err))
	}
	return verdict, err
}

// recheck applies to evidence that was accepted before what needs no collateral.
func (v *Verifier) recheck(ctx context.Context, e Evidence) (*Verdict, error) {
	a := appraisal{Verifier: v, evidence: e, hasty: true}
	return a.runAgain(ctx)
}

// stands reports whether what is remembered would be found again.
func (v *Verifier) stands(ctx context.Context, r *remembered) bool {
	if r == nil || !r.inTime(v.now()) || r.policy != nil && r.policy != v.policy.Load() {
		return false
	}
	c, err := v.source.Prepared(ctx, r.platform)
	return err == nil && c == r.collateral
}

// A Report is a verdict for people to read.
type Report struct {
	Verdict *Verdict // nil: refused
	Err     error    // the first rule that is broken; nil: accepted
	Steps   []Step   // every rule that could be applied, in order
}

// A Step is one rule and how it turned out. Names are unique in a report.
type Step = qvl.Step

// Examine judges evidence anew and goes on after the first broken rule, as far as
// there is something proven to go on with. Unlike Appraise it takes evidence without a
// public key, or a quote without an event log: what they would prove is not proven
// then, has no step, and is not in the verdict. Do not admit anybody by it.
func (v *Verifier) Examine(ctx context.Context, e Evidence) Report {
	a := appraisal{Verifier: v, evidence: e}
	verdict, err := a.run(ctx)
	return Report{Verdict: verdict, Err: err, Steps: a.steps}
}
