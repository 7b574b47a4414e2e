package nameserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// The times of a connection. A client that means it needs milliseconds (RFC 7766,
// 6.2.3 leaves them to the server).
const (
	idleTimeout  = 10 * time.Second // to the end of the next query
	busyTimeout  = time.Second      // the same, while half of the places are taken
	writeTimeout = 5 * time.Second
	maxLife      = time.Minute
)

// maxPending bounds the answers that wait to be written together, in bytes.
const maxPending = 16 << 10

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
		conn := &conn{Conn: c, source: sourceOf(c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())}
		if out := s.conns.enter(conn, time.Now()); out != nil {
			s.metrics.refused.Inc()
			_ = out.Close()
		}
		running.Go(func() {
			defer s.conns.leave(conn)
			s.serveConn(ctx, conn)
		})
	}
}

// serveConn answers the queries of a connection in their order, and as many as have
// come together with one write (RFC 7766, 6.2.1), until one of both sides has enough.
// What has come whole by then is still answered.
func (s *Server) serveConn(ctx context.Context, c *conn) {
	s.metrics.open.Inc()
	defer s.metrics.open.Dec()
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it only fails on a closed socket
	end := time.Now().Add(maxLife)
	r := bufio.NewReaderSize(c, 2+maxQuery)
	var b batch
	for more := true; more; {
		next := time.Now().Add(s.conns.patience(c))
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
		s.conns.answered(c, time.Now())
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
