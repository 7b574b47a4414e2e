package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Stack is gVisor's TCP/IP stack in place of a TUN device: only IPv4 and TCP, one
// address, no forwarding. All methods may be called concurrently.
type Stack struct {
	mtu    int
	own    netip.Addr
	stack  *stack.Stack
	link   *channel.Endpoint
	events chan tun.Event

	stopped context.Context // ends Read
	stop    context.CancelFunc
	once    sync.Once
}

const (
	nic = tcpip.NICID(1)
	// timeWait is how long the end that closes a connection first remembers it, for
	// segments that are still under way. A tunnel does not deliver segments that old.
	// TCP's minute would limit the connections to one port of a guest to 49,536 in that
	// time, and each would take 12 kB until it is over.
	timeWait = 5 * time.Second
	// queueLen is how many packets may wait for encryption. More are lost, and TCP
	// slows down.
	queueLen = 1024
)

var _ tun.Device = (*Stack)(nil)

// New makes a stack with this IPv4 address. mtu is in bytes.
func New(addr netip.Addr, mtu int) (*Stack, error) {
	s := &Stack{
		mtu:    mtu,
		own:    addr,
		link:   channel.New(queueLen, uint32(mtu), ""),
		events: make(chan tun.Event),
		stack: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, icmp.NewProtocol4},
		}),
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	if err := s.setUp(addr); err != nil {
		_ = s.Close() // closes memory only
		return nil, err
	}
	return s, nil
}

func (s *Stack) setUp(addr netip.Addr) error {
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	own := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddrFrom4(addr.As4()).WithPrefix()}
	for _, step := range []func() tcpip.Error{
		func() tcpip.Error { return s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &sack) },
		func() tcpip.Error { return s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &moderate) },
		func() tcpip.Error { return s.stack.SetTransportProtocolOption(tcp.ProtocolNumber, &wait) },
		func() tcpip.Error { return s.stack.CreateNIC(nic, s.link) },
		func() tcpip.Error { return s.stack.AddProtocolAddress(nic, own, stack.AddressProperties{}) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("set up network stack: %s", err)
		}
	}
	s.stack.AddRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, NIC: nic})
	return nil
}

// Dial opens a TCP connection. The result is a *Conn.
func (s *Stack) Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !to.Addr().Is4() {
		return nil, fmt.Errorf("dial %s: want an IPv4 address", to)
	}
	c, err := s.connect(ctx, fullAddress(to))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", to, err)
	}
	return c, nil
}

// Listen accepts TCP connections. They are *Conns.
func (s *Stack) Listen(at netip.AddrPort) (net.Listener, error) {
	if !at.Addr().Is4() {
		return nil, fmt.Errorf("listen %s: want an IPv4 address", at)
	}
	l, err := s.listen(fullAddress(at))
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", at, err)
	}
	return l, nil
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(a.Addr().As4()), Port: a.Port()}
}

// Read waits for packets of the stack and then takes all that are queued.
func (s *Stack) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	p := s.link.ReadContext(s.stopped)
	if p == nil {
		return 0, os.ErrClosed
	}
	n := 0
	for {
		size := 0
		for _, part := range p.AsSlices() {
			size += copy(bufs[n][offset+size:], part)
		}
		sizes[n] = size
		p.DecRef()
		if n++; n == len(bufs) {
			return n, nil
		}
		if p = s.link.Read(); p == nil {
			return n, nil
		}
	}
}

// Write gives packets from the tunnel to the stack. wireguard-go has checked that
// they are IP and come from the peer's own address.
func (s *Stack) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		packet := b[offset:]
		if len(packet) == 0 || packet[0]>>4 != 4 || !believable(packet, s.own) {
			continue
		}
		p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
		s.link.InjectInbound(header.IPv4ProtocolNumber, p)
		p.DecRef()
	}
	return len(bufs), nil
}

// Close resets the stack's connections and ends Read.
func (s *Stack) Close() error {
	s.once.Do(func() {
		s.stop()
		s.stack.Destroy()
		s.link.Close()
		close(s.events)
	})
	return nil
}

// Events never sends: the owner of the device starts it.
func (s *Stack) Events() <-chan tun.Event { return s.events }

// MTU implements tun.Device.
func (s *Stack) MTU() (int, error) { return s.mtu, nil }

// BatchSize returns the batch size of the UDP side.
func (s *Stack) BatchSize() int { return conn.IdealBatchSize }

// Name returns the name for logs.
func (s *Stack) Name() (string, error) { return "netstack", nil }

// File returns nil: there is no descriptor.
func (s *Stack) File() *os.File { return nil }
