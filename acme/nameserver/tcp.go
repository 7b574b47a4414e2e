package nameserver

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/miekg/dns"
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
				s.o.Log.Warn("cannot accept dns queries by tcp; trying again", "listen", l.Addr(), "err", err)
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

// serveConn answers the queries of a connection in their order (RFC 7766, 6.2.1), until
// the client ends it or a bound does. It still answers what has come whole by then.
func (s *Server) serveConn(ctx context.Context, c *conn) {
	s.metrics.open.Inc()
	defer s.metrics.open.Dec()
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it only fails on a closed socket
	end := time.Now().Add(maxLife)
	b := newBuffered(ctx, c)
	defer b.out.Flush() //nolint:errcheck // the connection ends either way
	messages := &dns.Conn{Conn: b}
	in := make([]byte, maxQuery)
	for now := time.Now(); now.Before(end); now = time.Now() {
		next := now.Add(s.conns.patience(c))
		if next.After(end) {
			next = end
		}
		if c.SetReadDeadline(next) != nil {
			return
		}
		n, err := messages.Read(in)
		if err != nil {
			return
		}
		answer := s.reply(tcp, c.source.Addr(), in[:n], nil)
		if answer == nil { // that was not a query
			return
		}
		s.conns.answered(c, time.Now())
		if _, err := messages.Write(answer); err != nil {
			return
		}
	}
}

// buffered is a connection that writes its answers when nothing is left to read: those
// to queries that came together leave by one write.
type buffered struct {
	*conn
	in  *bufio.Reader
	out *bufio.Writer
}

func newBuffered(ctx context.Context, c *conn) *buffered {
	b := &buffered{conn: c, out: bufio.NewWriterSize(c, maxPending)}
	b.in = bufio.NewReaderSize(readerFunc(func(p []byte) (int, error) {
		if err := b.out.Flush(); err != nil {
			return 0, err
		}
		if err := ctx.Err(); err != nil { // a later deadline may have replaced that of the end
			return 0, err
		}
		return c.Read(p)
	}), 2+maxQuery)
	return b
}

func (b *buffered) Read(p []byte) (int, error)  { return b.in.Read(p) }
func (b *buffered) Write(p []byte) (int, error) { return b.out.Write(p) }

// Write gives the client some time to take p.
func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
