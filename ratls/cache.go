package ratls

import (
	"bytes"
	"hash/maphash"
	"sync"
	"time"

	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// A Verifier finds a cached outcome by a hash of the evidence, and then compares all bytes.
// So nothing depends on the strength of the hash: for 9 kB hash and comparison take 0.8 µs,
// SHA-256 takes 5 µs.
//
// Memory is bounded, and refusals have a bound of their own: bad evidence cannot displace
// good verdicts. A full cache drops random entries, so that an attacker cannot choose which.
const (
	acceptedBytes = 64 << 20 // some 4000 CVMs
	refusedBytes  = 4 << 20

	// verdictBytes bounds the size of a verdict without the evidence.
	verdictBytes = 8 << 10

	// keepRefusal bounds how long a refusal is cached: a certificate that is not yet valid
	// becomes valid.
	keepRefusal = time.Minute
)

// remembered is an outcome and everything that it depends on. It never changes.
type remembered struct {
	evidence Evidence // memory of its own
	verdict  *Verdict
	err      error

	from, until time.Time
	policy      *Policy // nil: none was asked
	platform    pccs.Platform
	collateral  *qvl.Prepared
}

// remember returns the outcome of an appraisal that had collateral, for the cache.
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

// inTime reports whether the time alone leaves the outcome unchanged. The clock may have been set back.
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

// get returns the cached acceptance and the cached refusal of e. Each is nil if there is none.
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

// A shelf is a set of entries whose total size is bounded.
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
