package wg

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
)

// host is a network namespace: a machine of its own for addresses, routes, rules
// and ports.
type host struct {
	t  testing.TB
	ns *os.File
}

func newHost(t testing.TB) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	h := &host{t: t}
	onThread(t, func() {
		must(t, unix.Unshare(unix.CLONE_NEWNET))
		ns, err := os.Open("/proc/thread-self/ns/net")
		must(t, err)
		h.ns = ns
	})
	t.Cleanup(func() { h.ns.Close() })
	h.do(func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		must(t, netlink.LinkSetUp(lo))
	})
	return h
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

// do runs f on this host.
func (h *host) do(f func()) {
	h.t.Helper()
	onThread(h.t, func() {
		must(h.t, unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET))
		f()
	})
}

// cable connects two hosts with a cable of a /30 network.
func cable(a, b *host, addrA, addrB string) {
	nameA, nameB := unusedName(), unusedName()
	a.do(func() {
		must(a.t, netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: nameA}, PeerName: nameB, PeerNamespace: netlink.NsFd(int(b.ns.Fd())),
		}))
		plug(a.t, nameA, addrA)
	})
	b.do(func() { plug(b.t, nameB, addrB) })
}

func plug(t testing.TB, name, addr string) {
	link, err := netlink.LinkByName(name)
	must(t, err)
	a, err := netlink.ParseAddr(addr + "/30")
	must(t, err)
	must(t, netlink.AddrAdd(link, a))
	must(t, netlink.LinkSetUp(link))
}

// alter does something to this host's interface of that name.
func (h *host) alter(name string, f func(netlink.Link) error) {
	h.t.Helper()
	h.do(func() {
		link, err := netlink.LinkByName(name)
		must(h.t, err)
		must(h.t, f(link))
	})
}

// echo serves on addr of this host until the test ends.
func (h *host) echo(addr string) netip.AddrPort {
	var l net.Listener
	h.do(func() {
		var err error
		network := "tcp4"
		if strings.HasPrefix(addr, "[") {
			network = "tcp" // both
		}
		l, err = net.Listen(network, addr)
		must(h.t, err)
	})
	serveEcho(h.t, l)
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func serveEcho(t testing.TB, l net.Listener) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// dial connects from this host.
func (h *host) dial(to netip.AddrPort, patience time.Duration) (c net.Conn, err error) {
	h.do(func() {
		d := net.Dialer{Timeout: patience}
		c, err = d.DialContext(h.t.Context(), "tcp4", to.String())
	})
	return c, err
}

// mustEcho sends something through c and expects it back.
func mustEcho(t *testing.T, c net.Conn) {
	t.Helper()
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(patience)))
	sent := []byte(strings.Repeat("through the tunnel ", 1000))
	go func() { _, _ = c.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(sent) {
		t.Fatalf("echo: %v", err)
	}
}

// patience is how long something that must happen may take.
const patience = 20 * time.Second

// eventually waits for something that must happen.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !happened() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: did not happen within %s", what, patience)
		}
	}
}

// tunnelMode is the mode of the interfaces that tests make.
func tunnelMode() Mode { return Mode(gwtest.TunnelMode()) }

func unusedName() string { return "wgt" + strings.ToLower(rand.Text()[:8]) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) PrivateKey {
	t.Helper()
	k, err := GenerateKey()
	must(t, err)
	return k
}

// open opens a device on this host and closes it at the end of the test.
func (h *host) open(o Options) *Device {
	h.t.Helper()
	var d *Device
	h.do(func() {
		var err error
		d, err = Open(context.Background(), o)
		must(h.t, err)
	})
	h.t.Cleanup(func() { must(h.t, d.Close()) })
	return d
}
