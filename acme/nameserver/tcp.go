package nameserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The times of a connection. A client that means it needs milliseconds (RFC 7766,
// 6.2.3 leaves them to the server).
const (
	idleTimeout  = 10 * time.Second // to the end of the next query
	busyTimeout  = time.Second      // the same, while half of all connections are in use
	writeTimeout = 5 * time.Second
	maxLife      = time.Minute
)

// maxPending bounds the answers that wait to be written together, in bytes.
const maxPending = 16 << 10

// connections counts those that are open.
type connections struct {
	max, perSource int

	mu      sync.Mutex // guards what follows
	open    int
	sources map[netip.Prefix]int
}

func newConnections(n int) *connections {
	return &connections{max: n, perSource: max(1, n/8), sources: map[netip.Prefix]int{}}
}

// enter counts a connection, unless there are too many.
func (c *connections) enter(source netip.Prefix) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.max || c.sources[source] >= c.perSource {
		return false
	}
	c.open++
	c.sources[source]++
	return true
}

func (c *connections) leave(source netip.Prefix) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.sources[source]--; c.sources[source] == 0 {
		delete(c.sources, source)
	}
}

// patience is how long to wait for a query.
func (c *connections) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open > c.max/2 {
		return busyTimeout
	}
	return idleTimeout
}

// serveTCP accepts connections until ctx ends, and waits for them.
func (s *Server) serveTCP(ctx context.Context, l *net.TCPListener) error {
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var running sync.WaitGroup
	defer running.Wait()
	for failing := false; ; {
		c, err := l.AcceptTCP()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			if !failing { // no descriptors, as a rule
				s.o.Log.Warn("dns queries by tcp cannot be accepted; trying on", "listen", l.Addr(), "err", err)
			}
			failing = true
			pause(ctx, errorPause)
			continue
		}
		failing = false
		source := sourceOf(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
		if !s.conns.enter(source) {
			s.metrics.refused.Inc()
			_ = c.Close()
			continue
		}
		running.Go(func() {
			defer s.conns.leave(source)
			s.serveConn(ctx, c)
		})
	}
}

// serveConn answers the queries of a connection in their order, and as many as have
// come together with one write (RFC 7766, 6.2.1), until one of both sides has enough.
// What has come whole by then is still answered.
func (s *Server) serveConn(ctx context.Context, c net.Conn) {
	s.metrics.open.Inc()
	defer s.metrics.open.Dec()
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it only fails on a closed socket
	end := time.Now().Add(maxLife)
	r := bufio.NewReaderSize(c, 2+maxQuery)
	var b batch
	for more := true; more; {
		next := time.Now().Add(s.conns.patience())
		if next.After(end) {
			next = end
		}
		// Asked after the deadline is set: then it cannot undo that of the end.
		if c.SetReadDeadline(next) != nil || ctx.Err() != nil {
			return
		}
		if more = s.answerBatch(r, &b); len(b.out) == 0 {
			return
		}
		if c.SetWriteDeadline(time.Now().Add(writeTimeout)) != nil {
			return
		}
		if _, err := c.Write(b.out); err != nil {
			return
		}
	}
}

// batch are answers that are written together.
type batch struct {
	q      query
	answer []byte
	out    []byte
}

// answerBatch waits for a query, and answers it and those that came with it. It
// reports false after what is no query: the connection ends with it.
func (s *Server) answerBatch(r *bufio.Reader, b *batch) bool {
	b.out = b.out[:0]
	for {
		msg, err := peekMessage(r)
		if err != nil {
			return false
		}
		answer := s.reply(tcp, &b.q, b.answer, msg)
		if answer == nil {
			return false
		}
		b.answer = answer
		b.out = binary.BigEndian.AppendUint16(b.out, uint16(len(answer)))
		b.out = append(b.out, answer...)
		if _, err := r.Discard(2 + len(msg)); err != nil {
			return false
		}
		if len(b.out) >= maxPending || !buffered(r) {
			return true
		}
	}
}

var errLong = errors.New("query is too long")

// peekMessage is the next message of r, which stays there.
func peekMessage(r *bufio.Reader) ([]byte, error) {
	size, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size))
	if n > maxQuery {
		return nil, errLong
	}
	b, err := r.Peek(2 + n)
	if err != nil {
		return nil, err
	}
	return b[2:], nil
}

// buffered reports whether r can tell the next message without waiting.
func buffered(r *bufio.Reader) bool {
	if r.Buffered() < 2 {
		return false
	}
	size, err := r.Peek(2)
	return err == nil && r.Buffered() >= 2+int(binary.BigEndian.Uint16(size))
}
