package load

// A line is the connections that are up and wait for work. The one that has waited
// longest is next: a schedule that a few could keep is spread over all of them, as
// it would be over as many clients.
type line struct {
	conns []*conn
	head  int // those before it have left
}

func (q *line) push(c *conn) { q.conns = append(q.conns, c) }

// ready drops connections that were closed while they stood here, and reports
// whether any is left.
func (q *line) ready() bool {
	for q.head < len(q.conns) {
		if q.conns[q.head].state == open {
			return true
		}
		q.pop()
	}
	return false
}

// pop takes the first one; ready has reported that there is one.
func (q *line) pop() *conn {
	c := q.conns[q.head]
	q.conns[q.head] = nil
	q.head++
	if q.head > len(q.conns)/2 {
		n := copy(q.conns, q.conns[q.head:])
		clear(q.conns[n:])
		q.conns, q.head = q.conns[:n], 0
	}
	return c
}
