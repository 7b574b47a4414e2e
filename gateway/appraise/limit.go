package appraise

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/vm"
	"sallyport/ratls"
)

// What an instance shows in its handshakes is judged each time that a client comes, and
// costs up to 37 ms of a core (230 kB of event log) where it is genuine, new and bad. So
// each instance has a budget of evidence that may be refused, in bytes: what is refused is
// charged, what is accepted, or cannot be judged, is not, and while the budget is used up
// nothing of that instance is judged. A certificate without evidence costs nothing, lest a
// client uses the budget up by asking for a port that shows none. Of one instance a few
// are judged at a time, so that the budget is not spent many times at once.
const (
	refusedBudget = 512 << 10 // bytes, at first: some 100 ms of a core
	refusedRefill = 16 << 10  // bytes in a second: 0.3 % of a core
	maxJudging    = 4         // at a time, of one instance
)

// budgets are those of all instances.
type budgets struct {
	mu    sync.Mutex
	spent map[vm.InstanceID]*budget // of those that are being judged, or whose budget is not whole
}

type budget struct {
	users int           // callers that hold it; guarded by budgets.mu
	turns chan struct{} // one for each that is judged
	used  float64       // bytes, at the time since; guarded by budgets.mu
	since time.Time
}

var errRefusedTooOften = errors.New("attested peer: its evidence was refused too often; it is appraised again in a few seconds")

// judge has judge decide about a chain that an instance shows, if its budget allows.
func (r *budgets) judge(ctx context.Context, id vm.InstanceID, chain []*x509.Certificate, judge func() error) error {
	b := r.enter(id)
	defer r.leave(id, b)
	select {
	case b.turns <- struct{}{}:
		defer func() { <-b.turns }()
	case <-ctx.Done():
		return fmt.Errorf("attested peer: waiting for other appraisals of this instance: %w", ctx.Err())
	}
	if r.exhausted(b, time.Now()) {
		return errRefusedTooOften
	}
	err := judge()
	if err != nil && !undecided(ctx, err) {
		r.charge(b, evidenceSize(chain), time.Now())
	}
	return err
}

// evidenceSize is how much evidence there is to judge, in bytes.
func evidenceSize(chain []*x509.Certificate) int {
	if len(chain) == 0 {
		return 0
	}
	e, err := ratls.EvidenceOf(chain[0])
	if err != nil {
		return 0
	}
	return len(e.Attestation) + len(e.Quote) + len(e.EventLog)
}

func (r *budgets) enter(id vm.InstanceID) *budget {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spent == nil {
		r.spent = make(map[vm.InstanceID]*budget)
	}
	b := r.spent[id]
	if b == nil {
		b = &budget{turns: make(chan struct{}, maxJudging)}
		r.spent[id] = b
	}
	b.users++
	return b
}

// leave forgets a budget that is whole, and those of instances that came no more.
func (r *budgets) leave(id vm.InstanceID, b *budget) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	b.users--
	if b.users == 0 && b.left(now) >= refusedBudget {
		delete(r.spent, id)
	}
	looked := 0
	for other, o := range r.spent { // in an order of chance
		if o.users == 0 && o.left(now) >= refusedBudget {
			delete(r.spent, other)
		}
		if looked++; looked == 2 {
			break
		}
	}
}

func (r *budgets) exhausted(b *budget, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return b.left(now) <= 0
}

func (r *budgets) charge(b *budget, bytes int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b.used, b.since = refusedBudget-b.left(now)+float64(bytes), now
}

// left is what may still be refused; the caller holds budgets.mu.
func (b *budget) left(now time.Time) float64 {
	return refusedBudget - max(0, b.used-now.Sub(b.since).Seconds()*refusedRefill)
}
