package registry

import (
	"net/netip"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// An entry is an instance in the table, from its first registration until it is removed.
// This file has all of its state and every method that changes it; a test checks that no
// other file assigns a field. The methods run under the table's lock. Only the holder of
// the instance's lane calls them, except renew, askAt, root and schedule.
//
//	           claim               install               settle
//	(none) ───────────▶ claimed ───────────▶ unsettled ───────────▶ settled
//	 ▲  ▲                  │                  ▲  │  ▲                  │
//	 │  └──── abandon ─────┘  restore, adopt ─┘  │  └──────────────────┘
//	 │                                           │     claim, adopt, install, rule,
//	 │                                           │     refuse, release, revoke, unsettle
//	 └────────── forget ────── withdrawn ◀───────┘
//	                                      hide, peer
//
// A claimed entry holds its key and address in memory only; the store has the others. A settled
// instance is as its record, an operator's port policy and the reasons to refuse it ask for: it is
// served, with a peer (set) and published (shown), or refused, published as such and without a
// peer. Whatever changes one of these unsettles it; apply settles it again. A withdrawn instance
// has neither peer nor publication. A registration that changes nothing is answered without the
// lane only while the instance is settled.
//
// Two independent reasons refuse an instance. Each is in force before it is stored:
//
//	evidence    refused:  rule notes a verdict that is stored, refuse one that is not yet
//	            held:     refuse(heldText) at a start; release after the recheck
//	authority   revoked:  revoke; install of a registration that was admitted afterwards ends it
type entry struct {
	id  vm.InstanceID
	app vm.AppID

	record  record.Record // as stored
	rev     int64         // of record in the store; 0: claimed, and not stored yet
	set     tunnel        // what the tunnel may have
	shown   bool          // it is published
	settled bool

	seen    time.Time // the last registration, or the start
	problem string    // why it cannot be served as it is stored; "": it can
	appraisal
	standing
}

// tunnel is a peer; the zero value is none.
type tunnel struct {
	key  vm.WGKey
	addr netip.Addr
}

// appraisal is the state of an instance's evidence.
type appraisal struct {
	refused string    // why it is not accepted; "": it is, or there is no verdict yet
	verdict time.Time // when the last one was; zero: none since the start
	next    time.Time // when it is appraised again; zero: now
	tries   int       // in a row that gave no verdict
	since   time.Time // the first of them; zero: it is in the record, or there is none
}

// standing is the state of an instance's authority.
type standing struct {
	revoked     string    // why it was revoked; "": it was not
	revocations uint64    // how often it was revoked since the start
	ask         time.Time // when the webhook is asked again; zero: now
	unrooted    time.Time // since when its root is not in force; zero: it is
}

// newEntry returns a claimed entry.
func newEntry(id vm.InstanceID, app vm.AppID, now time.Time) *entry {
	return &entry{id: id, app: app, seen: now}
}

// claim notes that a registration is about to change the instance. The webhook is asked
// again at ask.
func (e *entry) claim(now, ask time.Time) {
	e.renew(now, ask)
	e.settled = false
}

// renew notes a registration that changes nothing.
func (e *entry) renew(now, ask time.Time) { e.seen, e.ask = now, ask }

// restore makes rec, which a start has read, the record of a new entry.
func (e *entry) restore(rec record.Record, rev int64) {
	e.record, e.rev, e.refused, e.revoked = rec, rev, rec.Refused, rec.Revoked
}

// install makes rec, which this node has stored, the record. A registration that was admitted
// has authority again.
func (e *entry) install(rec record.Record, rev int64, admitted bool) {
	e.record, e.rev, e.problem = rec, rev, ""
	if admitted && e.revoked != "" {
		e.revoked, e.settled = "", false
	}
}

// adopt makes rec, which another node has stored, the record. It reports whether the evidence
// is another.
func (e *entry) adopt(rec record.Record, rev int64) (evidence bool) {
	if evidence = e.record.Evidence != rec.Evidence; evidence {
		e.appraisal = appraisal{}
	}
	e.restore(rec, rev)
	e.settled = false
	return evidence
}

// setProblem notes why the instance cannot be served as it is stored; "": it can.
func (e *entry) setProblem(problem string) { e.problem = problem }

// peer notes what the tunnel may have from now on.
func (e *entry) peer(now tunnel) { e.set = now }

// publish notes that the data plane shows the instance, and hide that it does not.
func (e *entry) publish() { e.shown = true }
func (e *entry) hide()    { e.shown = false }

// settle notes that tunnel and data plane are as applied says; wanted is what they should be
// by now.
func (e *entry) settle(applied, wanted vm.Spec) {
	e.publish()
	e.settled = applied == wanted
}

// unsettle makes the next registration wait for the lane and apply the instance again.
func (e *entry) unsettle() { e.settled = false }

// rule notes a verdict on the evidence that is stored; "": it is accepted. It is appraised
// again at next.
func (e *entry) rule(refused string, now, next time.Time) {
	e.refuse(refused)
	e.verdict, e.tries, e.since, e.next = now, 0, time.Time{}, next
}

// postpone notes that an appraisal gave no verdict.
func (e *entry) postpone(next time.Time) {
	e.tries++
	e.next = next
}

// schedule makes the evidence due at next.
func (e *entry) schedule(next time.Time) { e.next = next }

// undecided notes that there is no verdict now, and returns since when there is none. A clock
// that was set back starts it again.
func (e *entry) undecided(now time.Time) (since time.Time) {
	if since = e.undecidedSince(); since.IsZero() || since.After(now) {
		since = now.Truncate(time.Second)
		e.since = since
	}
	return since
}

// refuse puts a verdict into force that is not stored yet.
func (e *entry) refuse(why string) {
	if e.refused != why {
		e.refused, e.settled = why, false
	}
}

// release ends the hold on an instance: the stored verdict is in force.
func (e *entry) release() {
	if e.held() {
		e.refuse(e.record.Refused)
	}
}

// revoke revokes the authority of a stored instance. It reports whether that is still to be
// stored.
func (e *entry) revoke(why string) (unstored bool) {
	e.revocations++
	if e.revoked == "" {
		e.revoked, e.settled = why, false
	}
	return e.record.Revoked == ""
}

// askAt notes when the webhook is asked again.
func (e *entry) askAt(again time.Time) { e.ask = again }

// root notes whether the root of the instance's chain is in force. It reports whether that has
// ended now.
func (e *entry) root(inForce bool, now time.Time) (ended bool) {
	ended = !inForce && e.unrooted.IsZero()
	switch {
	case inForce:
		e.unrooted = time.Time{}
	case ended:
		e.unrooted = now
	}
	return ended
}

// held reports whether the instance waits for the recheck of its evidence.
func (e *entry) held() bool { return e.refused == heldText }

// undecidedSince returns since when there is no verdict on the evidence; zero: there is one.
func (e *entry) undecidedSince() time.Time {
	if e.record.Undecided != 0 {
		return time.Unix(e.record.Undecided, 0)
	}
	return e.since
}

// hasEvidence reports whether the instance has shown evidence to the node.
func (e *entry) hasEvidence(node string) bool {
	return e.rev != 0 && e.record.Evidence != (record.Digest{}) && e.record.Node == node
}

// refusal returns why the instance gets no traffic; "": it gets some. If evidence is required, an
// instance without evidence gets none.
func (e *entry) refusal(required bool) string {
	if e.revoked != "" {
		return e.revoked
	}
	return e.unproven(required)
}

// unproven returns why the instance's evidence is not good enough; "": it is.
func (e *entry) unproven(required bool) string {
	switch {
	case e.refused != "":
		return "attestation: " + e.refused
	case required && e.record.Evidence == (record.Digest{}):
		return "attestation: none was provided, but it is required (rpc.require_quote)"
	}
	return ""
}

// lacksEvidence reports whether q must bring evidence and does not. An instance that is
// refused, or that comes with another key or compose file than its evidence did, must.
func (e *entry) lacksEvidence(q *registration, required bool) bool {
	if len(q.Evidence) > 0 {
		return false
	}
	moved := e.record.Compose != q.Compose || e.record.Key != q.Key
	return e.unproven(required) != "" || moved && e.record.Evidence != (record.Digest{})
}
