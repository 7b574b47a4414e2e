package backend

import (
	"encoding/binary"
	"slices"
	"time"
)

// A queue holds the trickling connections by when they are due. All intervals are
// usually equal, so that one whose message was sent belongs to the end.
type queue struct {
	conns []*conn
	head  int    // those before it are gone
	begun uint32 // connections that have had a phase
}

// phase returns when in its first interval a new connection's first message is due. Those
// of many clients are spread: if all began together, the messages of an interval would
// come as one burst, and their latency would be the length of the queue. Steps of the
// golden ratio spread any number of connections evenly.
func (q *queue) phase(interval time.Duration) time.Duration {
	const golden = 0x9e3779b9 // of 1<<32
	q.begun++
	return time.Duration(uint64(interval) * uint64(q.begun*golden) >> 32)
}

func (q *queue) len() int     { return len(q.conns) - q.head }
func (q *queue) first() *conn { return q.conns[q.head] }

func (q *queue) push(c *conn) {
	i := len(q.conns)
	for i > q.head && q.conns[i-1].due.After(c.due) {
		i--
	}
	q.conns = slices.Insert(q.conns, i, c)
}

func (q *queue) pop() *conn {
	c := q.conns[q.head]
	q.conns[q.head] = nil
	q.head++
	if q.head > 1024 && q.head > len(q.conns)/2 {
		q.conns = slices.Delete(q.conns, 0, q.head)
		q.head = 0
	}
	return c
}

// trickle sends the messages that are due. A message that the socket does not take
// whole ends the connection: its client has stopped reading, and a half message
// would shift all others.
func (s *Server) trickle() {
	if s.trickles.len() == 0 {
		return
	}
	now := time.Now()
	for s.trickles.len() > 0 && !s.trickles.first().due.After(now) {
		c := s.trickles.pop()
		if c.closed {
			continue
		}
		p := s.buf[:c.cmd.Size]
		clear(p)
		binary.BigEndian.PutUint64(p, uint64(c.due.UnixNano()))
		if c.send(p) < len(p) {
			s.drop(c)
			continue
		}
		c.due = c.due.Add(c.cmd.Interval)
		s.trickles.push(c)
	}
}
