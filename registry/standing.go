package registry

import (
	"time"

	"sallyport/internal/vm"
)

// What the table knows of instances' authority; authority.go tells what is done about it.

// standing is one instance's.
type standing struct {
	revoked     string    // why its authority was taken back; "": it holds
	revocations uint64    // how often it was, since the start
	ask         time.Time // when the webhook is to be asked again; zero: now
	unrooted    time.Time // since when its root is not in force; zero: it is
}

// revocation is one that is due.
type revocation struct {
	id  vm.InstanceID
	why string
}

// setAuthorities counts the instances whose root is no longer in force.
func (t *table) setAuthorities(roots []Fingerprint, now time.Time) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.authorities = make(map[Fingerprint]bool, len(roots))
	for _, f := range roots {
		t.authorities[f] = true
	}
	for _, e := range t.instances {
		was := e.unrooted
		if t.rootLocked(e, now); was.IsZero() && !e.unrooted.IsZero() {
			n++
		}
	}
	select {
	case t.supervision <- struct{}{}:
	default: // it is about to look
	}
	return n
}

// rootLocked notes since when e's root is not in force.
func (t *table) rootLocked(e *entry, now time.Time) {
	switch {
	case t.authorities == nil || t.authorities[e.record.Root] || e.record.Node != t.node || e.rev == 0:
		e.unrooted = time.Time{}
	case e.unrooted.IsZero():
		e.unrooted = now
	}
}

// endLocked tells when e's proof has ended, and how; zero: it has not.
func (t *table) endLocked(e *entry, now time.Time) (at time.Time, why string) {
	until := time.Unix(e.record.Until, 0)
	switch {
	case e.record.Node != t.node:
		return time.Time{}, ""
	case !e.unrooted.IsZero():
		return e.unrooted, textEnded + "its authority is none in force, since " + e.unrooted.UTC().Format(time.RFC3339)
	case e.record.Until != 0 && now.After(until):
		return until, textEnded + "its chain ended at " + until.UTC().Format(time.RFC3339)
	}
	return time.Time{}, ""
}

// supervised lists whose authority is to be taken back, and whom the webhook is to be asked
// about, of this node's instances. wait is until there may be others.
func (t *table) supervised(now time.Time, ask bool) (ended []revocation, unasked []Request, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = maxSupervise // who registers meanwhile is not due before
	if ask {
		wait = min(wait, t.askEvery)
	}
	for _, e := range t.instances {
		if e.rev == 0 || e.record.Node != t.node || e.record.Revoked != "" {
			continue
		}
		t.rootLocked(e, now)
		at, why := t.endLocked(e, now)
		switch {
		case e.revoked != "": // and not stored yet
			ended = append(ended, revocation{e.id, e.revoked})
			continue
		case !at.IsZero() && !at.Add(t.grace).After(now):
			ended = append(ended, revocation{e.id, why})
			continue
		case !at.IsZero():
			wait = min(wait, at.Add(t.grace).Sub(now))
		}
		if !ask || e.record.Facts == "" {
			continue
		}
		if e.ask.After(now) {
			wait = min(wait, e.ask.Sub(now))
		} else if facts, err := decodeFacts(e.record.Facts); err == nil { // as every record's, since it was read
			unasked = append(unasked, Request{App: e.app, Instance: e.id, Compose: e.record.Compose, Key: e.record.Key, Facts: facts})
		}
	}
	return ended, unasked, wait
}

// revoke puts a revocation into force. It reports false if that is done, and stored.
func (t *table) revoke(id vm.InstanceID, why string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.instances[id]
	if e == nil || e.rev == 0 {
		return false
	}
	e.revocations++
	if e.revoked == "" {
		e.revoked, e.settled = why, false
	}
	return e.record.Revoked == ""
}

// revocations is how often an instance's authority was taken back. What lets it in is to be
// asked anew after that.
func (t *table) revocations(id vm.InstanceID) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		return e.revocations
	}
	return 0
}

// asked notes when the webhook is to be asked again.
func (t *table) asked(id vm.InstanceID, again time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.instances[id]; e != nil {
		e.ask = again
	}
}

// withoutEvidence reports whether q lacks evidence that its instance has shown.
func (t *table) withoutEvidence(q Request) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missesEvidenceLocked(t.instances[q.Instance], q)
}

// untilLocked is the end of q's proof as it is to be stored. Guests may come with a new
// certificate each time: a later end is stored when there is twice as long to the new one.
func untilLocked(e *entry, q Request, now time.Time) int64 {
	if q.Proof.Until.IsZero() {
		return 0
	}
	until := q.Proof.Until.Unix()
	if e == nil || e.record.Until > until {
		return until
	}
	if left := e.record.Until - now.Unix(); 2*left >= until-now.Unix() {
		return e.record.Until
	}
	return until
}

// sameAuthorityLocked reports whether q is let in by what e was let in by.
func sameAuthorityLocked(e *entry, q Request, now time.Time) bool {
	return e.record.Facts == q.facts && e.record.Root == q.Proof.Root && e.record.Until == untilLocked(e, q, now)
}
