package appraise

import (
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/internal/vm"
	"sallyport/ratls/pccs"
)

var errForged = errors.New("event log: forged")

// shownBy is a guest's certificate, and the size of the evidence in it.
func shownBy(form tdxpki.Form) (chain []*x509.Certificate, size int) {
	leaf := tdxpki.New(1, time.Now()).Guest(tdxpki.Guest{Form: form}).Certificate.Leaf
	chain = []*x509.Certificate{leaf}
	return chain, evidenceSize(chain)
}

// An instance that shows bad evidence again and again is judged at a bounded rate; others
// are judged as before.
func TestRefusedEvidenceUpstreamIsLimitedPerInstance(t *testing.T) {
	chain, size := shownBy(tdxpki.FormLegacy)
	synctest.Test(t, func(t *testing.T) {
		var r budgets
		judged := 0
		show := func(id vm.InstanceID, verdict error) error {
			return r.judge(t.Context(), id, chain, func() error { judged++; return verdict })
		}
		for range 10_000 {
			if err := show("bad", errForged); err == nil {
				t.Fatal("accepted")
			}
		}
		first := refusedBudget/size + 1
		if judged != first {
			t.Errorf("judged %d times, want %d of %d bytes", judged, first, size)
		}
		if err := show("bad", nil); !errors.Is(err, errRefusedTooOften) {
			t.Errorf("its budget is used up, and it is judged: %v", err)
		}
		if err := show("good", nil); err != nil {
			t.Errorf("another instance: %v", err)
		}
		judged = 0
		for range 60 {
			<-time.After(time.Second)
			for range 100 {
				_ = show("bad", errForged)
			}
		}
		if most := 60*refusedRefill/size + 1; judged == 0 || judged > most {
			t.Errorf("judged %d times in a minute, want 1 to %d", judged, most)
		}
		<-time.After(refusedBudget/refusedRefill*time.Second + time.Minute)
		if err := show("bad", nil); err != nil {
			t.Errorf("later: %v", err)
		}
		if len(r.spent) != 0 {
			t.Errorf("%d budgets are kept", len(r.spent))
		}
	})
}

// What says nothing against an instance costs it nothing: good evidence, evidence that
// nobody can judge, and a port that shows none.
func TestGoodAndMissingEvidenceUpstreamIsNotLimited(t *testing.T) {
	with, size := shownBy(tdxpki.FormV0)
	without, none := shownBy(tdxpki.FormNone)
	if size == 0 || none != 0 {
		t.Fatalf("%d and %d bytes", size, none)
	}
	var r budgets
	for name, c := range map[string]struct {
		chain   []*x509.Certificate
		verdict error
	}{
		"good":      {with, nil},
		"undecided": {with, pccs.ErrUnavailable},
		"no":        {without, errForged},
	} {
		for range 2 * refusedBudget / size {
			if err := r.judge(t.Context(), "one", c.chain, func() error { return c.verdict }); !errors.Is(err, c.verdict) {
				t.Fatalf("%s evidence: %v", name, err)
			}
		}
	}
}

func TestFewOfAnInstanceAreJudgedAtATime(t *testing.T) {
	chain, _ := shownBy(tdxpki.FormV0)
	synctest.Test(t, func(t *testing.T) {
		var r budgets
		var now, most atomic.Int64
		var all sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range 100 {
			all.Go(func() {
				_ = r.judge(ctx, "one", chain, func() error {
					most.Store(max(most.Load(), now.Add(1)))
					<-time.After(time.Second)
					now.Add(-1)
					return nil
				})
			})
		}
		all.Wait()
		if most.Load() != maxJudging || len(r.spent) != 0 {
			t.Errorf("%d at a time, %d budgets are kept", most.Load(), len(r.spent))
		}
	})
}
