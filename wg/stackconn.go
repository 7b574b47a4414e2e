package wg

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

// stackConn is a connection of the stack. gonet's own hides the endpoint, and with it
// what package duplex asks for: to reset, and to know of a reset and of what is under way.
type stackConn struct {
	*gonet.TCPConn
	ep     tcpip.Endpoint
	wq     *waiter.Queue
	once   sync.Once
	closed chan struct{}
}

func newStackConn(wq *waiter.Queue, ep tcpip.Endpoint) *stackConn {
	return &stackConn{TCPConn: gonet.NewTCPConn(wq, ep), ep: ep, wq: wq, closed: make(chan struct{})}
}

// Write tells by the kernel's errors whether the peer has reset a stream that it had
// ended before. The stack has errors of its own, without a type.
func (c *stackConn) Write(p []byte) (int, error) {
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

func (c *stackConn) state() tcp.EndpointState { return tcp.EndpointState(c.ep.State()) }

// Close implements net.Conn.
func (c *stackConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.TCPConn.Close()
}

// Reset closes so that the peer sees a reset.
func (c *stackConn) Reset() {
	c.once.Do(func() { close(c.closed) })
	c.ep.Abort()
}

// Gone reports whether nobody is there any more.
func (c *stackConn) Gone() bool {
	s := c.state()
	return s == tcp.StateError || s == tcp.StateClose
}

// WaitGone waits until Gone, and returns false if c is closed before.
func (c *stackConn) WaitGone() bool {
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

// Unsent tells how many bytes the peer has not acknowledged. The stack says only whether
// they are fewer than the send buffer's size, so that is tried out. Nothing may be
// written after it: the buffer stays as small as it was asked for.
func (c *stackConn) Unsent() int {
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
func (s *stackTUN) connect(ctx context.Context, to tcpip.FullAddress) (*stackConn, error) {
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
			return nil, syscall.EADDRNOTAVAIL // as the kernel says it
		}
		return nil, errors.New(fault.String())
	}
	return newStackConn(wq, ep), nil
}
