package ratls

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"

	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// What a Verifier remembers is found by a hash of the evidence, and counts only for
// the very same bytes, which are compared. So the hash need not be a cryptographic one,
// and nothing depends on its strength: for 9 kB hash and comparison take 0.8 µs, SHA-256
// takes 5 µs.
//
// Memory is bounded, and refusals have their own: whoever sends bad evidence cannot push
// out good verdicts. Where it is full, entries that chance picks make room: nobody knows
// which of the others he throws out.
const (
	acceptedBytes = 64 << 20 // some 4000 machines
	refusedBytes  = 4 << 20

	// verdictBytes is what a verdict takes besides the evidence, at most.
	verdictBytes = 8 << 10

	// keepRefusal bounds how long a refusal is remembered: a platform's certificate that
	// is not valid yet will be.
	keepRefusal = time.Minute
)

// remembered is an outcome, and all that it depends on. It never changes.
type remembered struct {
	evidence Evidence // memory of its own
	verdict  *Verdict
	err      error

	from, until time.Time
	policy      *Policy // nil: none was asked
	platform    pccs.Platform
	collateral  *qvl.Prepared
}

// remember is what is kept of an outcome that had collateral.
func (a *appraisal) remember(v *Verdict, err error) *remembered {
	at := a.at.Round(0) // a clock that was set counts, not how long ago
	r := &remembered{
		evidence: a.evidence.clone(), verdict: v, err: err,
		from: at, policy: a.rules, platform: a.platform, collateral: a.collateral,
	}
	if err != nil {
		r.until = at.Add(keepRefusal)
		return r
	}
	r.until = v.Expires
	if age := a.rules.MaxAge; age != 0 {
		if limit := a.evidence.Issued.Add(age); limit.Before(r.until) {
			r.until = limit
		}
	}
	return r
}

// inTime reports whether time has changed nothing. A clock that was set back may have.
func (r *remembered) inTime(now time.Time) bool {
	now = now.Round(0)
	return !now.Before(r.from) && now.Before(r.until)
}

type verdictCache struct {
	seed maphash.Seed

	mu                sync.Mutex
	accepted, refused shelf
}

func newVerdictCache() *verdictCache {
	return &verdictCache{
		seed:     maphash.MakeSeed(),
		accepted: shelf{limit: acceptedBytes, entries: make(map[uint64]*remembered)},
		refused:  shelf{limit: refusedBytes, entries: make(map[uint64]*remembered)},
	}
}

// get returns what is remembered of e, nil for nothing: when it was accepted, and
// when it was refused.
func (c *verdictCache) get(e *Evidence) (found [2]*remembered) {
	key := e.hash(c.seed)
	c.mu.Lock()
	found = [2]*remembered{c.accepted.entries[key], c.refused.entries[key]}
	c.mu.Unlock()
	for i, r := range found {
		if r != nil && !r.evidence.equal(e) {
			found[i] = nil
		}
	}
	return found
}

func (c *verdictCache) put(r *remembered) {
	if r.evidence.size() > maxEvidence { // more than a certificate holds
		return
	}
	key := r.evidence.hash(c.seed)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.err != nil {
		c.refused.put(key, r)
	} else {
		c.accepted.put(key, r)
	}
}

// A shelf is entries of a bounded size together.
type shelf struct {
	entries     map[uint64]*remembered
	size, limit int // in bytes
}

func (s *shelf) put(key uint64, r *remembered) {
	s.remove(key)
	for other := range s.entries { // in an order of chance
		if s.size+r.size() <= s.limit {
			break
		}
		s.remove(other)
	}
	s.entries[key] = r
	s.size += r.size()
}

func (s *shelf) remove(key uint64) {
	if r := s.entries[key]; r != nil {
		s.size -= r.size()
		delete(s.entries, key)
	}
}

func (r *remembered) size() int { return r.evidence.size() + verdictBytes }

func (e *Evidence) hash(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, part := range e.parts() {
		h.Write(*part)
	}
	return h.Sum64()
}

func (e *Evidence) equal(o *Evidence) bool {
	theirs := o.parts()
	for i, part := range e.parts() {
		if !bytes.Equal(*part, *theirs[i]) {
			return false
		}
	}
	return e.VMConfig == o.VMConfig && e.Tag == o.Tag && e.Issued.Equal(o.Issued)
}

func (e *Evidence) clone() Evidence {
	own := *e
	for _, part := range own.parts() {
		*part = bytes.Clone(*part)
	}
	return own
}

func (e *Evidence) size() int {
	n := len(e.VMConfig) + len(e.Tag)
	for _, part := range e.parts() {
		n += len(*part)
	}
	return n
}

func (e *Evidence) parts() [4]*[]byte {
	return [...]*[]byte{&e.PublicKey, &e.Attestation, &e.Quote, &e.EventLog}
}
