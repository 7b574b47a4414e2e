package health

import (
	"time"

	"sallyport/internal/vm"
)

// Upsert adds instances, or changes known ones. An instance with another key, address
// or app is a new one: its predecessor is gone, and it waits for its first handshake. So
// does one that is no longer refused: its tunnel was taken down. An unchanged one is left
// alone.
func (m *Monitor) Upsert(specs ...vm.Spec) {
	var rekeyed, refused []*vm.Instance
	now := time.Now()
	m.mu.Lock()
	for _, s := range specs {
		e := m.entries[s.ID]
		switch {
		case e == nil:
			m.addLocked(s, now)
		case e.spec == s:
		case !e.spec.SameTunnel(s):
			rekeyed = append(rekeyed, m.dropLocked(e))
			m.addLocked(s, now)
		case e.refused == "" && s.Refused != "":
			refused = append(refused, m.dropLocked(e))
			m.addLocked(s, now)
		case e.refused != "" && s.Refused == "":
			m.dropLocked(e)
			m.addLocked(s, now)
		default:
			e.spec, e.refused = s, s.Refused
			if e.refused != "" {
				e.verdict.reason = e.refused
			}
			m.showLocked(e)
		}
	}
	m.publishLocked()
	m.mu.Unlock()
	m.wake()
	m.mourn(rekeyed, Rekeyed)
	m.mourn(refused, Refused)
}

// Remove takes instances out. Those that are not there are left out.
func (m *Monitor) Remove(ids ...vm.InstanceID) {
	var gone []*vm.Instance
	m.mu.Lock()
	for _, id := range ids {
		if e := m.entries[id]; e != nil {
			gone = append(gone, m.dropLocked(e))
			m.builder.Remove(id)
		}
	}
	m.publishLocked()
	m.mu.Unlock()
	m.mourn(gone, Removed)
}

func (m *Monitor) addLocked(s vm.Spec, now time.Time) {
	e := &entry{spec: s, first: !m.settled}
	e.static = m.o.Handshakes == nil
	e.refused = s.Refused
	e.live = &vm.Live{OnDial: func(port uint16, ok bool) { m.noteDial(e, port, ok) }}
	m.entries[s.ID] = e
	m.newcomer = now
	select {
	case m.hurry <- struct{}{}:
	default: // already said
	}
	m.reviewLocked(e, now)
}

// dropLocked forgets an entry, except for the snapshot.
func (m *Monitor) dropLocked(e *entry) *vm.Instance {
	shown := e.shown
	e.shown = nil
	m.due.remove(e)
	m.counts[e.verdict.health]--
	delete(m.entries, e.spec.ID)
	return shown
}

func (m *Monitor) mourn(gone []*vm.Instance, why Gone) {
	if m.o.OnGone == nil {
		return
	}
	for _, inst := range gone {
		m.o.OnGone(inst, why)
	}
}

// noteDial notes how a dial to a port of e ended, and asks for a review if that may
// change something. It runs on the data plane's threads: it never blocks, and asks once
// until the review begins. Should the queue be full, everybody is reviewed.
func (m *Monitor) noteDial(e *entry, port uint16, ok bool) {
	now := second(time.Since(m.began))
	switch {
	case ok && !e.dials.answer(port, now):
		return
	case !ok && e.dials.failure(port, now) < maxFailures:
		return
	}
	if !e.queued.CompareAndSwap(false, true) {
		return
	}
	select {
	case m.dialled <- e:
	default:
		e.queued.Store(false)
		m.lost.Store(true)
		m.wake()
	}
}

// wake makes Run look at the deadlines again.
func (m *Monitor) wake() {
	select {
	case m.rearm <- struct{}{}:
	default: // it is about to
	}
}
