package netstack

import (
	"errors"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// listener is a listener of the stack. Its connections are Conns.
type listener struct {
	ep tcpip.Endpoint
	wq *waiter.Queue
	at net.Addr
}

// backlog is how many connections may wait for Accept.
const backlog = 4096

func (s *Stack) listen(at tcpip.FullAddress) (*listener, error) {
	wq := &waiter.Queue{}
	ep, fault := s.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, wq)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	if fault = ep.Bind(at); fault == nil {
		fault = ep.Listen(backlog)
	}
	if fault != nil {
		ep.Close()
		return nil, errors.New(fault.String())
	}
	return &listener{ep: ep, wq: wq, at: &net.TCPAddr{IP: at.Addr.AsSlice(), Port: int(at.Port)}}, nil
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	entry, changed := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp)
	l.wq.EventRegister(&entry)
	defer l.wq.EventUnregister(&entry)
	for {
		ep, wq, fault := l.ep.Accept(nil)
		switch fault.(type) {
		case nil:
			return newConn(wq, ep), nil
		case *tcpip.ErrWouldBlock:
			<-changed
		default:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.at, Err: errors.New(fault.String())}
		}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.ep.Close()
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.at }
