package rpc

import (
	"container/list"
	"sync"
)

// turns lets a bounded number work at once. Those that wait are served in fair order: what
// waits says where it belongs, for instance its network and its address in it, and at each
// level the turn goes round. So a thousand requests of one source wait for each other,
// and another source's request waits for one of them at most.
type turns struct {
	mu   sync.Mutex // guards what follows; held for a few steps only
	free int
	root ring
}

func newTurns(n int) *turns { return &turns{free: n} }

// ring is one level of those that wait. Its members are rings, or waiters at the last level.
type ring struct {
	order  list.List // of members; the front is next
	places map[any]*list.Element
}

// member is one of a ring, at its place there.
type member struct {
	key any
	ring
}

type waiter struct{ granted chan struct{} }

// enter waits for a turn, and reports false if gone is closed before it comes. path says
// where the caller belongs, from the outside in. Give the turn back by leave.
func (t *turns) enter(gone <-chan struct{}, path ...any) bool {
	t.mu.Lock()
	if t.free > 0 { // then nothing waits
		t.free--
		t.mu.Unlock()
		return true
	}
	w := &waiter{granted: make(chan struct{})}
	t.root.push(path, w)
	t.mu.Unlock()
	select {
	case <-w.granted:
		return true
	case <-gone:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.root.remove(path, w) { // granted meanwhile
		t.passLocked()
	}
	return false
}

// leave gives a turn back.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passLocked()
}

func (t *turns) passLocked() {
	if w := t.root.pop(); w != nil {
		close(w.granted)
		return
	}
	t.free++
}

// push adds w at the end of its own queue.
func (r *ring) push(path []any, w *waiter) {
	if len(path) == 0 {
		r.order.PushBack(w)
		return
	}
	e := r.places[path[0]]
	if e == nil {
		if r.places == nil {
			r.places = make(map[any]*list.Element)
		}
		e = r.order.PushBack(&member{key: path[0]})
		r.places[path[0]] = e
	}
	e.Value.(*member).push(path[1:], w)
}

// pop takes the next waiter, and sends its rings to the end. It returns nil if nothing waits.
func (r *ring) pop() *waiter {
	e := r.order.Front()
	if e == nil {
		return nil
	}
	m, inner := e.Value.(*member)
	if !inner {
		return r.order.Remove(e).(*waiter)
	}
	w := m.pop()
	if r.order.MoveToBack(e); m.order.Len() == 0 {
		r.drop(e)
	}
	return w
}

// remove takes w out, and reports whether it was still there.
func (r *ring) remove(path []any, w *waiter) bool {
	if len(path) == 0 {
		for e := r.order.Front(); e != nil; e = e.Next() {
			if e.Value == w {
				r.order.Remove(e)
				return true
			}
		}
		return false
	}
	e := r.places[path[0]]
	if e == nil {
		return false
	}
	m := e.Value.(*member)
	found := m.remove(path[1:], w)
	if m.order.Len() == 0 {
		r.drop(e)
	}
	return found
}

func (r *ring) drop(e *list.Element) {
	delete(r.places, e.Value.(*member).key)
	r.order.Remove(e)
}
