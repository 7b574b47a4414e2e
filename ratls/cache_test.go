package ratls

import (
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/pccs"
)

// A verdict that is given again is the very same; one that was judged anew is not.
func again(t *testing.T, v *Verifier, e Evidence, before *Verdict) bool {
	t.Helper()
	return wantAccepted(t, v, e) == before
}

func TestVerdictIsRemembered(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	first := wantAccepted(t, v, e)
	if !again(t, v, e, first) {
		t.Error("judged twice")
	}
	if copied := e.clone(); !again(t, v, copied, first) {
		t.Error("equal evidence is judged twice")
	}
	if r := v.Examine(t.Context(), e); r.Verdict == first || len(r.Steps) == 0 {
		t.Error("Examine gives what is remembered")
	}
	if other := w.verifier(t, nil); again(t, other, e, first) {
		t.Error("verifiers share what they remember")
	}
}

func TestVerdictIsForgotten(t *testing.T) {
	for name, forget := range map[string]func(t *testing.T, w *world, v *Verifier){
		"with another policy":      func(_ *testing.T, _ *world, v *Verifier) { v.SetPolicy(&Policy{}) },
		"with other collateral":    func(t *testing.T, w *world, _ *Verifier) { w.publish(t, nil) },
		"when the clock goes back": func(_ *testing.T, w *world, _ *Verifier) { w.sleep(-time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			v := w.verifier(t, nil)
			e := w.evidence(t, tdxpki.Guest{})
			first := wantAccepted(t, v, e)
			forget(t, w, v)
			if again(t, v, e, first) {
				t.Error("is given again")
			}
		})
	}
}

func TestVerdictEndsWithItsCollateral(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	first := wantAccepted(t, v, e)
	w.sleep(first.Expires.Sub(w.now()) - time.Second)
	if !again(t, v, e, first) {
		t.Error("judged anew before it ends")
	}
	w.sleep(2 * time.Second)
	if _, err := v.Appraise(t.Context(), e); !errors.Is(err, pccs.ErrUnavailable) {
		t.Errorf("after the end of collateral that nobody has replaced: %v", err)
	}
}

func TestVerdictEndsWithTheEvidencesAge(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, &Policy{MaxAge: 25 * time.Hour}) // the certificate is a day old
	e := w.evidence(t, tdxpki.Guest{})
	first := wantAccepted(t, v, e)
	w.sleep(time.Hour - time.Second)
	if !again(t, v, e, first) {
		t.Error("judged anew before it ends")
	}
	w.sleep(2 * time.Second)
	wantPolicy(t, refusal(t, v, e, "policy: age: refused by policy: evidence is older"), true)
}

// Any part of the evidence may change the verdict: each is compared.
func TestOtherEvidenceIsJudgedAnew(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	legacy := w.evidence(t, tdxpki.Guest{Form: tdxpki.FormLegacy})
	packed := w.evidence(t, tdxpki.Guest{})
	wantAccepted(t, v, legacy)
	wantAccepted(t, v, packed)
	for name, c := range map[string]struct {
		e        Evidence
		change   func(*Evidence)
		accepted bool
	}{
		"key":           {legacy, func(e *Evidence) { e.PublicKey = append([]byte{0}, e.PublicKey...) }, false},
		"quote":         {legacy, func(e *Evidence) { e.Quote = flipped(e.Quote, 200) }, false},
		"log":           {legacy, func(e *Evidence) { e.EventLog = []byte("[]") }, false},
		"attestation":   {packed, func(e *Evidence) { e.Attestation = flipped(e.Attestation, 200) }, false},
		"tag":           {legacy, func(e *Evidence) { e.Tag = "zt-cert" }, false},
		"configuration": {legacy, func(e *Evidence) { e.VMConfig = "[]" }, false},
		"date":          {legacy, func(e *Evidence) { e.Issued = e.Issued.Add(time.Second) }, true},
		"moved bytes": {legacy, func(e *Evidence) {
			e.Quote, e.EventLog = slices.Concat(e.Quote, e.EventLog), nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := wantAccepted(t, v, c.e)
			e := c.e
			c.change(&e)
			switch got, err := v.Appraise(t.Context(), e); {
			case (err == nil) != c.accepted:
				t.Errorf("%v", err)
			case got == before:
				t.Error("the same verdict")
			}
		})
	}
}

func flipped(b []byte, i int) []byte {
	b = append([]byte(nil), b...)
	b[i] ^= 1
	return b
}

// Nobody may change what is remembered through what he gave.
func TestRememberedEvidenceIsACopy(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	copied := e.clone()
	first := wantAccepted(t, v, e)
	kept := *first
	for _, part := range e.parts() {
		clear(*part)
	}
	if _, err := v.Appraise(t.Context(), e); err == nil {
		t.Error("zeros are accepted")
	}
	if !again(t, v, copied, first) {
		t.Error("is forgotten")
	}
	if !reflect.DeepEqual(*first, kept) {
		t.Error("the verdict has changed")
	}
}

func TestRefusalIsRememberedForAMinute(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{ChangeSigned: func(q *tdxpki.Quote) { q.Signature[0] ^= 1 }})
	refused := func() error {
		_, err := v.Appraise(t.Context(), e)
		wantError(t, err, "quote signature:")
		return err
	}
	first := refused()
	w.sleep(keepRefusal - time.Second)
	if !errors.Is(refused(), first) {
		t.Error("judged twice in a minute")
	}
	v.SetPolicy(&Policy{}) // nothing was judged by it
	if !errors.Is(refused(), first) {
		t.Error("judged again for a policy that was not asked")
	}
	w.sleep(2 * time.Second)
	second := refused()
	if errors.Is(second, first) {
		t.Error("is remembered after a minute")
	}
	w.publish(t, nil)
	if errors.Is(refused(), second) {
		t.Error("is remembered though collateral is other")
	}
}

func TestRefusalByPolicyEndsWithThePolicy(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, &Policy{Apps: []AppID{}})
	e := w.evidence(t, tdxpki.Guest{})
	wantRefused(t, v, e, "policy: app:")
	v.SetPolicy(nil)
	wantAccepted(t, v, e)
	v.SetPolicy(&Policy{Apps: []AppID{}})
	wantRefused(t, v, e, "policy: app:")
}

func TestWhatNobodyCouldJudgeIsNotRemembered(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	e := w.evidence(t, tdxpki.Guest{})
	w.fail(pccs.ErrUnavailable)
	if _, err := v.Appraise(t.Context(), e); !errors.Is(err, pccs.ErrUnavailable) {
		t.Fatal(err)
	}
	if n := len(v.verdicts.refused.entries); n != 0 {
		t.Errorf("%d refusals are remembered", n)
	}
	w.err.Store(nil)
	first := wantAccepted(t, v, e)
	w.fail(pccs.ErrUnavailable)
	if _, err := v.Appraise(t.Context(), e); !errors.Is(err, pccs.ErrUnavailable) {
		t.Errorf("a verdict without its collateral: %v", err)
	}
	w.err.Store(nil)
	if !again(t, v, e, first) {
		t.Error("is forgotten though nothing changed")
	}
}

func TestForgedChainsAreNotRemembered(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	forger := &world{PKI: tdxpki.New(2, worldTime())}
	wantRefused(t, v, forger.evidence(t, tdxpki.Guest{}), "PCK chain:")
	if n := len(v.verdicts.refused.entries); n != 0 {
		t.Errorf("%d refusals are remembered", n)
	}
}

// Bad evidence cannot push out good verdicts, and neither grows without end.
func TestMemoryOfTheCacheIsBounded(t *testing.T) {
	c := newVerdictCache()
	good := &remembered{evidence: Evidence{PublicKey: []byte("good")}, verdict: &Verdict{}}
	c.put(good)
	refused := errors.New("refused")
	blob := make([]byte, 32<<10)
	const each = 32<<10 + 2 + verdictBytes
	for i := range 4 * refusedBytes / each {
		c.put(&remembered{evidence: Evidence{PublicKey: []byte{byte(i), byte(i >> 8)}, Quote: blob}, err: refused})
	}
	if s := &c.refused; s.size > refusedBytes || s.size < refusedBytes-each || s.size != len(s.entries)*each {
		t.Errorf("%d bytes in %d entries, want at most %d", s.size, len(s.entries), refusedBytes)
	}
	if c.get(&good.evidence)[0] != good {
		t.Error("refusals have pushed out a verdict")
	}
	for i := range 2 * acceptedBytes / each {
		c.put(&remembered{evidence: Evidence{PublicKey: []byte{byte(i), byte(i >> 8)}, Quote: blob}, verdict: &Verdict{}})
	}
	if s := &c.accepted; s.size > acceptedBytes || s.size < acceptedBytes-each {
		t.Errorf("%d bytes in %d entries, want at most %d", s.size, len(s.entries), acceptedBytes)
	}
	before := c.accepted.size
	c.put(&remembered{evidence: Evidence{Quote: make([]byte, maxEvidence+1)}, verdict: &Verdict{}})
	if c.accepted.size != before {
		t.Error("evidence that fits into no certificate is remembered")
	}
}

// An entry that is put twice is counted once.
func TestReplacedEntryIsCountedOnce(t *testing.T) {
	c := newVerdictCache()
	r := &remembered{evidence: Evidence{PublicKey: []byte("key")}, verdict: &Verdict{}}
	for range 3 {
		c.put(r)
	}
	if c.accepted.size != r.size() {
		t.Errorf("%d bytes, want %d", c.accepted.size, r.size())
	}
}

func TestVerdictsAreGivenConcurrently(t *testing.T) {
	w := newWorld(t)
	v := w.verifier(t, nil)
	good, bad := w.evidence(t, tdxpki.Guest{}), w.evidence(t, tdxpki.Guest{ChangeSigned: func(q *tdxpki.Quote) { q.TD.MRTD[0] ^= 1 }})
	strict := &Policy{Apps: []AppID{}}
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 20 {
				switch {
				case i == 0:
					v.SetPolicy([]*Policy{nil, strict}[j%2])
				case i == 1:
					w.publish(t, nil)
				case i%2 == 0:
					if _, err := v.Appraise(t.Context(), good); err != nil && !errors.Is(err, ErrPolicy) {
						t.Error(err)
					}
				default:
					if _, err := v.Appraise(t.Context(), bad); err == nil || errors.Is(err, ErrPolicy) {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	v.SetPolicy(strict)
	wantRefused(t, v, good, "policy: app:")
}
