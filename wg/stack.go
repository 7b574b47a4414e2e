package wg

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

// stackTUN is gVisor's TCP/IP stack in the place of a TUN device: IPv4 and TCP
// alone, one address, no forwarding.
//
// wireguard-go has one of its own (tun/netstack), which we do not use: its Close
// closes a channel that the stack may be sending to, which ends the process, and
// it hands over one packet per call. This one takes packets in batches from the
// stack's own queue (echo of one stream through a tunnel in one process, 2 cores:
// 57 MB/s against 34 to 37).
type stackTUN struct {
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
	// timeWait is how long who ended a connection first remembers it, for segments that are
	// still on their way: a tunnel lets none arrive that is older than what it holds. With
	// TCP's minute, 49,536 connections in it to one port of a guest were the most, and each
	// took 12 kB until it was over.
	timeWait = 5 * time.Second
	// queueLen is the packets that wait for encryption; more are lost, and TCP
	// slows down.
	queueLen = 1024
)

var _ tun.Device = (*stackTUN)(nil)

func newStackTUN(addr netip.Addr, mtu int) (*stackTUN, error) {
	s := &stackTUN{
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

func (s *stackTUN) setUp(addr netip.Addr) error {
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

func (s *stackTUN) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if !to.Addr().Is4() {
		return nil, fmt.Errorf("wg: dial %s: want an IPv4 address", to)
	}
	c, err := s.connect(ctx, fullAddress(to))
	if err != nil {
		return nil, fmt.Errorf("wg: dial %s: %w", to, err)
	}
	return c, nil
}

func (s *stackTUN) listen(at netip.AddrPort) (net.Listener, error) {
	if !at.Addr().Is4() {
		return nil, fmt.Errorf("wg: listen %s: want an IPv4 address", at)
	}
	l, err := s.listener(fullAddress(at))
	if err != nil {
		return nil, fmt.Errorf("wg: listen %s: %w", at, err)
	}
	return l, nil
}

func fullAddress(a netip.AddrPort) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFrom4(a.Addr().As4()), Port: a.Port()}
}

// Read waits for packets of the stack, then takes all that are there.
func (s *stackTUN) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
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
// they are IP and from the peer's own address.
func (s *stackTUN) Write(bufs [][]byte, offset int) (int, error) {
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
func (s *stackTUN) Close() error {
	s.once.Do(func() {
		s.stop()
		s.stack.Destroy()
		s.link.Close()
		close(s.events)
	})
	return nil
}

// Events is silent: the device is started by whoever made it.
func (s *stackTUN) Events() <-chan tun.Event { return s.events }

// MTU is the tunnel's.
func (s *stackTUN) MTU() (int, error) { return s.mtu, nil }

// BatchSize is that of the UDP side.
func (s *stackTUN) BatchSize() int { return conn.IdealBatchSize }

// Name says what logs show.
func (s *stackTUN) Name() (string, error) { return "netstack", nil }

// File is nil: there is no descriptor.
func (s *stackTUN) File() *os.File { return nil }
