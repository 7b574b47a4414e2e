package health

import (
	"container/heap"
	"time"
)

// deadlines are the entries whose verdict time alone will change, the next one
// first: finding it must not cost a look at all.
type deadlines []*entry

// update puts e where its verdict's next says, or nowhere if that is zero.
func (d *deadlines) update(e *entry) {
	switch {
	case e.verdict.next.IsZero():
		d.remove(e)
	case e.place > 0:
		heap.Fix(d, e.place-1)
	default:
		heap.Push(d, e)
	}
}

func (d *deadlines) remove(e *entry) {
	if e.place > 0 {
		heap.Remove(d, e.place-1)
	}
}

// due returns the first entry if its time has come, else nil and how long that
// will take; some is false if there is none.
func (d deadlines) due(now time.Time) (e *entry, wait time.Duration, some bool) {
	if len(d) == 0 {
		return nil, 0, false
	}
	if wait := d[0].verdict.next.Sub(now); wait > 0 {
		return nil, wait, true
	}
	return d[0], 0, true
}

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].verdict.next.Before(d[j].verdict.next) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].place, d[j].place = i+1, j+1
}

// Push is for package heap alone.
func (d *deadlines) Push(x any) {
	e := x.(*entry)
	*d = append(*d, e)
	e.place = len(*d)
}

// Pop is for package heap alone.
func (d *deadlines) Pop() any {
	old := *d
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	e.place = 0
	return e
}
