package backend

import (
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/bench/sock"
	"sallyport/internal/nonblock"

	"golang.org/x/sys/unix"
)

// A Server is one event loop. Make it with [Listen], and call Run once.
type Server struct {
	addr   netip.AddrPort
	listen int32
	poller *sock.Poller[*conn] // nil is the listener's owner
	conns  map[*conn]struct{}
	buf    []byte
	zeros  []byte
	ready  []*conn // fairness stopped them
	paused bool    // no descriptors: accept again when one is closed

	trickles queue
	stopping atomic.Bool
}

const (
	readSize = 64 << 10
	// turn is how much one connection may move before the others have theirs.
	turn = 128 << 10
	// maxConns bounds the memory; the descriptor limit usually comes first.
	maxConns = 1 << 20
)

// Listen opens a server at an address; port 0 takes any free one.
func Listen(at netip.AddrPort) (*Server, error) {
	fd, addr, err := sock.Listen(at)
	if err != nil {
		return nil, err
	}
	poller, err := sock.NewPoller[*conn]()
	if err != nil {
		nonblock.Close(fd)
		return nil, err
	}
	return &Server{
		addr: addr, listen: fd, poller: poller, conns: map[*conn]struct{}{},
		buf: make([]byte, readSize), zeros: make([]byte, turn),
	}, nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Run serves until ctx ends, on a thread of its own that is pinned to cpu (negative:
// any), and closes the server. It is called once.
func (s *Server) Run(ctx context.Context, cpu int) error {
	done := make(chan error, 1)
	go func() { done <- s.run(cpu) }()
	defer s.poller.Close()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		s.stopping.Store(true)
		s.poller.Wake()
		return <-done
	}
}

func (s *Server) run(cpu int) error {
	defer s.close()
	if err := sock.Pin(cpu); err != nil {
		return err
	}
	if err := s.poller.Add(s.listen, nil, 0, nonblock.Incoming); err != nil {
		return err
	}
	for !s.stopping.Load() {
		s.poller.Wait(s.timeout(), s.event)
		ready := s.ready
		s.ready = nil
		for _, c := range ready {
			c.queued = false
			c.pump()
		}
		s.trickle()
	}
	return nil
}

func (s *Server) event(c *conn, events uint32) {
	if c == nil {
		s.accept()
		return
	}
	c.readable = c.readable || events&(sock.Readable|sock.Hangup) != 0
	c.writable = c.writable || events&(sock.Writable|sock.Hangup) != 0
	c.hangup = c.hangup || events&sock.Hangup != 0
	c.pump()
}

// accept takes what waits. Without a descriptor to spare it pauses until a
// connection ends: the edge is not reported again.
func (s *Server) accept() {
	s.paused = false
	for len(s.conns) < maxConns {
		fd, _, e := nonblock.Accept(s.listen)
		switch e {
		case 0:
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			s.paused = true
			return
		default: // a connection that died in the queue
			continue
		}
		c := &conn{s: s, fd: fd}
		if s.poller.Add(fd, c, 0, nonblock.Both) != nil {
			nonblock.Close(fd)
			continue
		}
		s.conns[c] = struct{}{}
	}
	s.paused = true
}

func (s *Server) drop(c *conn) {
	if c.closed {
		return
	}
	c.closed = true
	s.poller.Forget(c.fd)
	delete(s.conns, c)
	if s.paused {
		s.accept()
	}
}

// timeout is how long the loop may wait.
func (s *Server) timeout() time.Duration {
	switch {
	case len(s.ready) > 0:
		return 0
	case s.trickles.len() > 0:
		return max(time.Until(s.trickles.first().due), 0)
	}
	return sock.Forever
}

func (s *Server) close() {
	for c := range s.conns {
		s.drop(c)
	}
	nonblock.Close(s.listen)
}
