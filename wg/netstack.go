package wg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/netstack"
	"sallyport/wg/userspace"
)

// netstackDevice is wireguard-go on a TCP/IP stack of our own: it needs no
// privilege, and no packet of a guest ever reaches the kernel's stack, so there is
// nothing to isolate. It is slower than a TUN device, and its connections are not
// sockets.
type netstackDevice struct {
	processControl
	stack *netstack.Stack
}

func openNetstack(o Options) (backend, error) {
	stack, err := netstack.New(o.Address.Addr(), o.MTU)
	if err != nil {
		return nil, err
	}
	n := &netstackDevice{stack: stack, processControl: processControl{userspace.NewDevice(stack, o.Log)}}
	if err := n.configure(o.PrivateKey, o.ListenPort); err != nil {
		return nil, oneline.Join(fmt.Errorf("configure device: %w", err), n.close())
	}
	if err := n.start(); err != nil {
		if errors.Is(err, unix.EADDRINUSE) {
			err = portInUse(o.ListenPort, err)
		}
		return nil, oneline.Join(fmt.Errorf("start device: %w", err), n.close())
	}
	return n, nil
}

func (n *netstackDevice) ready() error {
	select {
	case <-n.wgo.Wait():
		return errors.New("wg: the device has stopped: restart the gateway")
	default:
		return nil
	}
}

func (n *netstackDevice) restore() (restored, error) { return restored{}, nil }

func (n *netstackDevice) watches() []watch { return nil }

func (n *netstackDevice) bind(int) error { return errNoKernelWay }

func (n *netstackDevice) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	c, err := n.stack.Dial(ctx, to)
	if err != nil {
		return nil, fmt.Errorf("wg: %w", err)
	}
	return c, nil
}

func (n *netstackDevice) listen(at netip.AddrPort) (net.Listener, error) {
	l, err := n.stack.Listen(at)
	if err != nil {
		return nil, fmt.Errorf("wg: %w", err)
	}
	return l, nil
}

func (n *netstackDevice) close() error {
	n.wgo.Close()
	return nil
}
