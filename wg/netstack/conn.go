package netstack

import (
	"context"
	"errors"
	"net"
	"sort"
	"sync"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Conn is a connection of a stack. Unlike gonet's own type it can reset, reports a
// reset by the peer, and counts the bytes under way, as package duplex needs.
type Conn struct {
	*gonet.TCPConn
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	once   sync.Once
	closed chan struct{}
}

func newConn(wq *waiter.Queue, ep tcpip.Endpoint) *Conn {
	return &Conn{TCPConn: gonet.NewTCPConn(wq, ep), ep: ep, wq: wq, closed: make(chan struct{})}
}

// Write implements net.Conn. It reports a reset by the peer as ECONNRESET and
// another end as EPIPE, as the kernel does: the stack's own errors have no type.
func (c *Conn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	var timeout net.Error
	switch {
	case err == nil || errors.As(err, &timeout) && timeout.Timeout():
	case c.state() == tcp.StateError:
		err = &net.OpError{Op: "write", Net: "tcp", Addr: c.RemoteAddr(), Err: syscall.ECONNRESET}
	default:
		err = &net.OpError{Op: "write", Net: "tcp", Addr: c.RemoteAddr(), Err: syscall.EPIPE}
	}
	return n, err
}

func (c *Conn) state() tcp.EndpointState { return tcp.EndpointState(c.ep.State()) }

// Close implements net.Conn.
func (c *Conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.TCPConn.Close()
}

// Reset closes so that the peer sees a reset.
func (c *Conn) Reset() {
	c.once.Do(func() { close(c.closed) })
	c.ep.Abort()
}

// Gone reports whether the connection has ended in both directions or was reset.
func (c *Conn) Gone() bool {
	s := c.state()
	return s == tcp.StateError || s == tcp.StateClose
}

// WaitGone waits until Gone is true. It returns false if c is closed first.
func (c *Conn) WaitGone() bool {
	entry, changed := waiter.NewChannelEntry(waiter.EventHUp | waiter.EventErr)
	c.wq.EventRegister(&entry)
	defer c.wq.EventUnregister(&entry)
	for !c.Gone() {
		select {
		case <-changed:
		case <-c.closed:
			return false
		}
	}
	select {
	case <-c.closed:
		return false
	default:
		return true
	}
}

// Unsent returns the number of bytes that the peer has not acknowledged. The stack
// only reports whether they are fewer than the send buffer's size, so Unsent tries
// sizes. Nothing may be written afterwards: the buffer stays small.
func (c *Conn) Unsent() int {
	const most = 64 << 20 // above every limit of the stack
	options := c.ep.SocketOptions()
	options.SetSendBufferSize(1, true) // ends its tuning
	n := sort.Search(most, func(n int) bool {
		options.SetSendBufferSize(int64(n)+1, false)
		return c.ep.Readiness(waiter.WritableEvents)&waiter.WritableEvents != 0
	})
	if s := c.state(); s == tcp.StateFinWait1 || s == tcp.StateClosing || s == tcp.StateLastAck {
		n++ // the FIN
	}
	return n
}

// connect opens a connection.
func (s *Stack) connect(ctx context.Context, to tcpip.FullAddress) (*Conn, error) {
	wq := &waiter.Queue{}
	ep, fault := s.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	entry, changed := waiter.NewChannelEntry(waiter.WritableEvents)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)
	fault = ep.Connect(to)
	if _, started := fault.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ctx.Done():
			ep.Close()
			return nil, ctx.Err()
		case <-changed:
		}
		fault = ep.LastError()
	}
	if fault != nil {
		ep.Close()
		if _, none := fault.(*tcpip.ErrNoPortAvailable); none {
			return nil, syscall.EADDRNOTAVAIL // the error of the kernel
		}
		return nil, errors.New(fault.String())
	}
	return newConn(wq, ep), nil
}
