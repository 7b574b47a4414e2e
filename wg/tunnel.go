package wg

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/hold"
	"sallyport/wg/isolate"
	"sallyport/wg/kernel"
	"sallyport/wg/nft"
	"sallyport/wg/userspace"
)

// tunnel is a network interface that speaks WireGuard. The kernel's and wireguard-go's
// differ only in how they are made and controlled: addresses, routes and isolation go
// through netlink for both.
//
// All sockets are opened once and kept. Each conversation with the kernel has a
// deadline: it holds the device's turn while it waits.
type tunnel struct {
	o         Options
	maker     maker
	inside    *kernel.Namespace
	name      io.Closer // holds the interface's name
	nl        *netlink.Handle
	control   control            // nil: not open yet
	link      netlink.Link       // nil: there is none
	index     int                // that link had before it was gone
	watched   atomic.Int32       // the index of link
	isolation *isolate.Isolation // nil for a guest
	cut       bool               // the interface is down, because the rules are missing and cannot be written
	way       way
	rival     string            // another interface that the route to the guests leads to
	socket    *userspace.Socket // for wg(8); nil: the kernel answers it, or it could not be opened

	fallbackSet bool // the route of addFallback

	undo []func() error // takes away what maker made or adopted, last first
}

// maker is what the two kinds differ in. Both set t.link.
type maker struct {
	adopt func(*tunnel, netlink.Link) error // an interface of our name is there: take or refuse it
	// make makes the interface, with this index if it is free: sockets that are bound
	// to the one before go on with it. 0 is any.
	make func(t *tunnel, index int) error
	// flags are how the table that isolates the interface is best owned. Where the
	// kernel cannot, it has no owner.
	flags nft.Flags
	// outlives says that the interface stays when its process is killed.
	outlives bool
}

// kernelPatience is how long the kernel may take for one answer about interfaces and
// routes. It answers in microseconds, unless another program holds one of its locks.
const kernelPatience = 5 * time.Second

func openTunnel(o Options, mk maker) (backend, error) {
	t := &tunnel{o: o, maker: mk}
	for _, step := range []func() error{
		t.openSockets,
		t.holdName,
		t.checkOverlap,
		t.addFallback,
		func() error { return t.build(0) },
		t.ready,
	} {
		if err := step(); err != nil {
			return nil, oneline.Join(err, t.close())
		}
	}
	return t, nil
}

// build makes the interface. Isolation and the key come before the link is up: no
// packet passes a half-made tunnel.
func (t *tunnel) build(index int) error {
	for _, step := range []func() error{
		t.find,
		func() error { return t.make(index) },
		t.isolate,
		t.closeIngress,
		t.checkBind,
		t.configure,
		t.setAddress,
		t.disableIPv6,
		t.up,
		t.openSocket,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	t.watched.Store(int32(t.link.Attrs().Index))
	return nil
}

func (t *tunnel) holdName() (err error) {
	t.name, err = hold.Interface(t.o.Interface)
	return err
}

func (t *tunnel) openSockets() (err error) {
	if t.inside, err = kernel.Current(); err != nil { // /proc may be hidden
		t.o.Log.Debug("the network namespace is unknown; all threads are assumed to be in the same one", "error", err.Error())
		t.inside = &kernel.Namespace{}
	}
	if t.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("%w: netlink: %w", errNotPossible, err)
	}
	if err := t.nl.SetSocketTimeout(kernelPatience); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if t.o.Guest {
		return nil
	}
	t.isolation, err = isolate.Open(t.inside, isolate.Options{Interface: t.o.Interface, Address: t.o.Address, Flags: t.maker.flags})
	return notPossible(err)
}

// find looks for an interface of our name. It comes before isolate, which must
// not filter the interface of another program.
func (t *tunnel) find() error {
	link, err := t.nl.LinkByName(t.o.Interface)
	if _, none := errors.AsType[netlink.LinkNotFoundError](err); none {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", t.o.Interface, err)
	}
	return t.maker.adopt(t, link)
}

func (t *tunnel) make(index int) error {
	if t.link != nil { // adopted
		return nil
	}
	return t.maker.make(t, index)
}

// made finds what was just made.
func (t *tunnel) made() error {
	link, err := t.nl.LinkByName(t.o.Interface)
	if err != nil {
		return fmt.Errorf("find interface %s after creating it: %w", t.o.Interface, err)
	}
	t.link = link
	return nil
}

func (t *tunnel) configure() error {
	return t.portError(t.control.configure(t.o.PrivateKey, t.o.ListenPort))
}

// setAddress leaves the interface with our address alone; its prefix makes the
// route to the guests.
func (t *tunnel) setAddress() error {
	if err := t.nl.LinkSetMTU(t.link, t.o.MTU); err != nil {
		return fmt.Errorf("set mtu %d: %w", t.o.MTU, err)
	}
	old, err := t.addresses(t.link)
	if err != nil {
		return err
	}
	for _, a := range old {
		if p, ok := prefixOf(a.IPNet); ok && p == t.o.Address {
			continue
		}
		if err := t.nl.AddrDel(t.link, &a); err != nil {
			return fmt.Errorf("remove old address %s: %w", a.IPNet, err)
		}
	}
	if err := t.nl.AddrReplace(t.link, &netlink.Addr{IPNet: ipNet(t.o.Address)}); err != nil {
		return fmt.Errorf("set address %s: %w", t.o.Address, err)
	}
	return nil
}

// addresses lists the IPv4 addresses of an interface; nil is all. While others
// change addresses a list may be incomplete, and is asked for again.
func (t *tunnel) addresses(link netlink.Link) (all []netlink.Addr, err error) {
	const tries = 5
	for range tries {
		if all, err = t.nl.AddrList(link, netlink.FAMILY_V4); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return all, nil
}

// disableIPv6 keeps the interface from having an fe80:: address at all. The
// isolation drops IPv6 anyway, so failing (a read-only /proc/sys) is harmless.
func (t *tunnel) disableIPv6() error {
	path := "/proc/sys/net/ipv6/conf/" + t.o.Interface + "/disable_ipv6"
	if err := os.WriteFile(path, []byte("1"), 0); err != nil {
		t.o.Log.Debug("IPv6 stays enabled on the interface; its packets are dropped", "interface", t.o.Interface, "error", err.Error())
	}
	return nil
}

// up refuses an interface that is not isolated.
func (t *tunnel) up() error {
	if !t.isolated() {
		return t.notIsolated()
	}
	if err := t.portError(t.control.start()); err != nil {
		return err
	}
	return t.portError(t.nl.LinkSetUp(t.link))
}

func (t *tunnel) portError(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return portInUse(t.o.ListenPort, err)
	}
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return fmt.Errorf("%w: open UDP sockets (the WireGuard of old kernels needs IPv6: remove ipv6.disable=1): %w", errNotPossible, err)
	}
	if err != nil {
		return fmt.Errorf("configure device: %w", err)
	}
	return nil
}

func (t *tunnel) listen(netip.AddrPort) (net.Listener, error) { return nil, errNoSockets }

func (t *tunnel) later(f func() error) { t.undo = append(t.undo, f) }

// close takes the interface away, and then what kept others safe from it: if it
// stays, so do the rules.
func (t *tunnel) close() error {
	t.way.index.Store(0)
	err := t.unmake()
	if t.isolation != nil && err == nil {
		err = t.isolation.Remove()
	}
	return oneline.Join(err, t.removeFallback(), t.closeSockets())
}

func (t *tunnel) unmake() error {
	var errs []error
	for _, undo := range slices.Backward(t.undo) {
		errs = append(errs, undo())
	}
	t.undo, t.link = nil, nil
	t.watched.Store(0)
	return oneline.Join(errs...)
}

func (t *tunnel) closeSockets() error {
	var errs []error
	if t.name != nil {
		errs = append(errs, t.name.Close())
	}
	if t.control != nil {
		errs = append(errs, t.control.close())
	}
	if t.isolation != nil {
		errs = append(errs, t.isolation.Close())
	}
	if t.nl != nil {
		t.nl.Close()
	}
	if t.inside != nil {
		errs = append(errs, t.inside.Close())
	}
	return oneline.Join(errs...)
}
