package gwtest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// maxEntered bounds the threads that are inside of one host at a time: each
// dial that waits for its connection holds one.
const maxEntered = 32

// Host is a machine of its own as far as the network goes: a network namespace.
// A socket belongs to the host that made it, for life, so the test process can
// hold the ends of connections of several hosts. The methods may be called
// concurrently.
type Host struct {
	name    string
	ns      *os.File
	nl      *netlink.Handle
	entered chan struct{}
}

// Missing says why hosts cannot be made here, or "" if they can.
func Missing() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if err := run(func() error { return unix.Unshare(unix.CLONE_NEWNET) }); err != nil {
		return fmt.Sprintf("network namespaces cannot be made (CAP_SYS_ADMIN): %v", err)
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return fmt.Sprintf("tunnels need a TUN device: %v", err)
	}
	return ""
}

// NewHost makes a host that has nothing but loopback, until the test ends.
func NewHost(t testing.TB, name string) *Host {
	t.Helper()
	h := &Host{name: name, entered: make(chan struct{}, maxEntered)}
	err := run(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		if h.ns, err = os.Open(threadNamespace); err != nil {
			return err
		}
		if h.nl, err = netlink.NewHandle(syscall.NETLINK_ROUTE); err != nil {
			return err
		}
		lo, err := h.nl.LinkByName("lo")
		if err != nil {
			return err
		}
		return h.nl.LinkSetUp(lo)
	})
	if err != nil {
		t.Fatalf("make host %s: %v", name, err)
	}
	t.Cleanup(func() {
		h.nl.Close()
		h.ns.Close()
	})
	return h
}

// Do runs f on a thread that is inside of h. Sockets, processes and reads of
// /proc/sys/net are the host's while f runs, in f's own goroutine only.
func (h *Host) Do(f func() error) error {
	h.entered <- struct{}{}
	defer func() { <-h.entered }()
	return run(func() error {
		if err := enter(h.ns); err != nil {
			return fmt.Errorf("enter %s: %w", h.name, err)
		}
		return f()
	})
}

// threadNamespace is the network namespace of the thread that opens it.
const threadNamespace = "/proc/thread-self/ns/net"

// enter moves the calling thread into a network namespace.
func enter(ns *os.File) error { return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET) }

// run runs f on a thread of its own and brings the thread home afterwards.
func run(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(threadNamespace)
		if err != nil {
			ended <- err
			return
		}
		err = f()
		// A thread that cannot go home stays locked and ends with this goroutine.
		if back := enter(home); back == nil {
			runtime.UnlockOSThread()
		}
		_ = home.Close()
		ended <- err
	}()
	return <-ended
}

// Dial connects from h. The address must be numeric: there is no resolver.
func (h *Host) Dial(ctx context.Context, addr string) (*net.TCPConn, error) {
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Listen listens on h until the test ends.
func (h *Host) Listen(t testing.TB, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := h.Do(func() (err error) {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // a plain socket, as the servers of a CVM have
		l, err = lc.Listen(t.Context(), "tcp", addr)
		return err
	})
	if err != nil {
		t.Fatalf("listen on %s: %v", h.name, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Sysctl sets one of the host's own settings below /proc/sys/net.
func (h *Host) Sysctl(t testing.TB, key, value string) {
	t.Helper()
	err := h.Do(func() error { return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644) })
	if err != nil {
		t.Fatalf("%s: %v", h.name, err)
	}
}

// Connect lays a cable between a and b and gives its ends these addresses,
// which share a prefix. The first of each becomes the name of the end.
func Connect(t testing.TB, a *Host, aName string, aAddrs []netip.Prefix, b *Host, bName string, bAddrs []netip.Prefix) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = aName
	err := a.nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: bName, PeerNamespace: netlink.NsFd(int(b.ns.Fd()))})
	if err == nil {
		err = oneline.Join(a.address(aName, aAddrs), b.address(bName, bAddrs))
	}
	if err != nil {
		t.Fatalf("connect %s to %s: %v", a.name, b.name, err)
	}
}

func (h *Host) address(name string, addrs []netip.Prefix) error {
	link, err := h.nl.LinkByName(name)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		addr := &netlink.Addr{IPNet: ipNet(a)}
		if a.Addr().Is6() {
			addr.Flags = syscall.IFA_F_NODAD // usable at once: nobody else is on the cable
		}
		if err := h.nl.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	return h.nl.LinkSetUp(link)
}

// Route sends packets for these networks to an interface of h.
func (h *Host) Route(t testing.TB, name string, nets ...netip.Prefix) {
	t.Helper()
	link, err := h.nl.LinkByName(name)
	for _, n := range nets {
		if err == nil {
			err = h.nl.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(n), Scope: netlink.SCOPE_LINK})
		}
	}
	if err != nil {
		t.Fatalf("route on %s: %v", h.name, err)
	}
}

// Unplug takes an interface down: packets vanish, and no end is notified.
func (h *Host) Unplug(t testing.TB, name string) {
	t.Helper()
	link, err := h.nl.LinkByName(name)
	if err == nil {
		err = h.nl.LinkSetDown(link)
	}
	if err != nil {
		t.Fatalf("unplug %s of %s: %v", name, h.name, err)
	}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
