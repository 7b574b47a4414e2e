package wg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// Routes alone do not keep the stream to a guest in the tunnel: with the
// interface deleted, down or without its address, with a more specific route or
// with the same network on another interface, the kernel sends it elsewhere, in
// the clear. So each socket is bound to the interface before it connects, by the
// index that this process knows to be its own: a name can pass to another
// interface. With the interface gone, or made again with another index, such a
// socket sends nothing.

// way is the interface that sockets may be bound to.
type way struct {
	index atomic.Int32 // 0: none, the tunnel is not ready
}

var errNoWay = errors.New("wg: the tunnel is not ready: /readyz and the log say why")

func (w *way) bind(fd int) error {
	index := w.index.Load()
	if index == 0 {
		return errNoWay
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, int(index))
}

// Bind binds a socket that is not connected yet to the tunnel: what is sent through
// it goes into the tunnel or nowhere. While the device is not ready it refuses. It
// neither blocks nor allocates. In the modes none and netstack no socket of the
// system's leads into a tunnel, and Bind is an error.
func (d *Device) Bind(fd int) error { return d.backend.bind(fd) }

func (t *tunnel) bind(fd int) error { return t.way.bind(fd) }

func (t *tunnel) dial(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		var bound error
		err := c.Control(func(fd uintptr) { bound = t.bind(int(fd)) })
		return oneline.Join(err, bound)
	}}
	c, err := d.DialContext(ctx, "tcp4", to.String())
	if err != nil {
		return nil, fmt.Errorf("wg: dial %s: %w", to, err)
	}
	return c, nil
}

// checkBind finds out whether this process may bind sockets to an interface.
func (t *tunnel) checkBind() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, t.link.Attrs().Index); err != nil {
		return fmt.Errorf("%w: bind a socket to interface %s (needs Linux 5.7, or Linux 5.0 and CAP_NET_RAW): %w", errNotPossible, t.o.Interface, err)
	}
	return nil
}

// ready returns nil if the tunnel can carry traffic, and else the reason. Only if it can,
// new sockets may be bound to it.
func (t *tunnel) ready() error {
	err := t.checkLink()
	if err != nil {
		t.way.index.Store(0)
		return fmt.Errorf("wg: %w", err)
	}
	t.way.index.Store(int32(t.link.Attrs().Index))
	t.reportRival()
	return nil
}

func (t *tunnel) checkLink() error {
	name, own := t.o.Interface, t.o.Address
	link, err := t.current()
	if err != nil {
		return err
	}
	if link == nil {
		return fmt.Errorf("interface %s: %w", name, errGone)
	}
	if now := link.Attrs().Name; now != name {
		return fmt.Errorf("interface %s was renamed to %s", name, now)
	}
	if !t.isolated() {
		return t.notIsolated()
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("interface %s is down", name)
	}
	addrs, err := t.addresses(link)
	if err != nil {
		return err
	}
	if !hasPrefix(addrs, own) {
		return fmt.Errorf("interface %s has lost its address %s", name, own)
	}
	if err := t.hasRoute(link); err != nil {
		return fmt.Errorf("the route %s through interface %s is missing: %w", own.Masked(), name, err)
	}
	return nil
}

func (t *tunnel) hasRoute(link netlink.Link) error {
	_, err := t.nl.RouteGetWithOptions(someGuest(t.o.Address).AsSlice(), &netlink.RouteGetOptions{OifIndex: link.Attrs().Index, FIBMatch: true})
	return err
}

func hasPrefix(addrs []netlink.Addr, own netip.Prefix) bool {
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok && p == own {
			return true
		}
	}
	return false
}

// someGuest is an address of own's network that a guest may have.
func someGuest(own netip.Prefix) netip.Addr {
	next := own.Addr().Next()
	if own.Contains(next.Next()) {
		return next
	}
	return own.Addr().Prev() // next is the broadcast address
}
