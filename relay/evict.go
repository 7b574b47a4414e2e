package relay

// Connections that are ended from outside: those of a backend that has gone, and all
// of them when the time to drain is over. The owner of an instance can
// register it again hundreds of times a second, and can hold as many connections to it
// as its app may have. So a backend's connections are found by an index, and a loop
// ends a few of them in each round: the others' bytes are moved in between.

// evictBudget is how many connections a round ends; each takes 10 to 20 µs.
const evictBudget = 64

// evictions are a loop's connections by their backend, and those that are to be ended.
type evictions struct {
	by   map[Watcher][]*conn
	gone []Watcher // have their connections ended
	all  bool      // every connection is ended …
	next int       // … and the slots below have been looked at
}

// enter lists c under its backend.
func (e *evictions) enter(c *conn) {
	if e.by == nil {
		e.by = make(map[Watcher][]*conn)
	}
	list := append(e.by[c.watch], c)
	e.by[c.watch], c.listed = list, int32(len(list))
}

// leave takes c out of the list, if it is in it.
func (e *evictions) leave(c *conn) {
	if c.listed == 0 {
		return
	}
	list := e.by[c.watch]
	last := len(list) - 1
	list[c.listed-1], list[last].listed = list[last], c.listed
	list[last], c.listed = nil, 0
	if last > 0 {
		e.by[c.watch] = list[:last]
	} else {
		delete(e.by, c.watch)
	}
}

// evicting reports whether connections are still to be ended.
func (e *evictions) evicting() bool { return e.all || len(e.gone) > 0 }

// evict ends evictBudget of the connections that are to be ended.
func (l *loop) evict() {
	e := &l.evictions
	left := evictBudget
	for len(e.gone) > 0 && left > 0 {
		last := len(e.gone) - 1
		list := e.by[e.gone[last]]
		if len(list) == 0 {
			e.gone[last], e.gone = nil, e.gone[:last]
			continue
		}
		c := list[len(list)-1]
		e.leave(c) // one that is in setup ends later
		c.evict(InstanceRemoved)
		left--
	}
	for e.all && left > 0 {
		if e.next == l.poller.Len() {
			e.all = false
			break
		}
		if entry := l.poller.Of(int32(e.next)); entry.Owner != nil && (side(entry.Role) == clientSide || entry.Owner.phase == parting) {
			entry.Owner.evict(Drained)
			left--
		}
		e.next++
	}
}

// evict ends c.
func (c *conn) evict(r Reason) {
	defer c.endOnPanic()
	c.end(r)
}
