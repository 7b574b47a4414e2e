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

// A Verifier appraises evidence completely: the hardware's signatures up to Intel's root,
// Intel's statements about the platform, the event log, the binding to the certificate's
// key, and a [Policy]. No option leaves one of them out. All methods may be called
// concurrently.
type Verifier struct {
	source   CollateralSource
	root     *x509.Certificate
	now      func() time.Time
	policy   atomic.Pointer[Policy] // never nil
	verdicts *verdictCache
}

// A CollateralSource returns what Intel publishes about a kind of platform, with verified
// signatures. [pccs.Client] and [pccs.Fixed] implement it.
type CollateralSource interface {
	// Prepared returns the collateral of p, and the same pointer until it changes. It may
	// fetch until ctx ends. An error that wraps [pccs.ErrUnavailable] means that there is
	// no collateral now; any other refuses evidence. It may be called concurrently.
	Prepared(ctx context.Context, p pccs.Platform) (*qvl.Prepared, error)
}

// VerifierOptions are the options of a Verifier. Collateral is required.
type VerifierOptions struct {
	Collateral CollateralSource
	Policy     *Policy           // nil: the zero Policy
	Root       *x509.Certificate // nil: Intel's. Another one, which Collateral must use too, is for tests
	Now        func() time.Time  // nil: time.Now. Another one is for evidence of the past
}

// NewVerifier returns a Verifier. It does no I/O. It returns an error if Collateral is nil.
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

// SetPolicy replaces the policy; nil is the zero Policy. Calls that begin after it returns
// use the new one. It does not change verdicts that were returned before.
func (v *Verifier) SetPolicy(p *Policy) {
	if p == nil {
		p = &Policy{}
	}
	v.policy.Store(p)
}

// Policy returns the current policy. Do not change it.
func (v *Verifier) Policy() *Policy { return v.policy.Load() }

// Appraise appraises evidence: it implements [Appraiser]. The error names the first broken
// rule. It wraps [ErrPolicy] if the evidence is genuine, and [pccs.ErrUnavailable] if
// collateral is missing: then retry later. Appraise refuses evidence without a public key,
// and a quote without an event log. The verdict proves an app only if [Verdict.SystemKnown]
// is true, or another authority appraised the CVM.
//
// A verdict is cached until collateral, policy or time could change it.
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

// recheck applies the rules that need no collateral to evidence that was accepted before.
func (v *Verifier) recheck(ctx context.Context, e Evidence) (*Verdict, error) {
	a := appraisal{Verifier: v, evidence: e, hasty: true}
	return a.runAgain(ctx)
}

// stands reports whether a new appraisal would have the outcome of r.
func (v *Verifier) stands(ctx context.Context, r *remembered) bool {
	if r == nil || !r.inTime(v.now()) || r.policy != nil && r.policy != v.policy.Load() {
		return false
	}
	c, err := v.source.Prepared(ctx, r.platform)
	return err == nil && c == r.collateral
}

// A Report is an appraisal for people to read.
type Report struct {
	Verdict *Verdict // nil: refused
	Err     error    // the first broken rule; nil: accepted
	Steps   []Step   // every applied rule, in order
}

// A Step is one rule and its outcome. Names are unique in a report.
type Step = qvl.Step

// Examine appraises evidence without the cache, and continues after the first broken rule as
// far as the proven part allows. Unlike Appraise it takes evidence without a public key, and
// a quote without an event log: then what they would prove is unproven, has no step, and is
// not in the verdict. Do not use it to admit a peer.
func (v *Verifier) Examine(ctx context.Context, e Evidence) Report {
	a := appraisal{Verifier: v, evidence: e}
	verdict, err := a.run(ctx)
	return Report{Verdict: verdict, Err: err, Steps: a.steps}
}
