package e2e

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
)

// leaks are faults of the tunnel's interface after which the routes of the
// gateway's machine lead to somebody else's 10.8.0.2.
var leaks = map[string]struct {
	befall func(tunnel, elsewhere netlink.Link) error
	ready  string // what /readyz says; "": the tunnel carries
	heals  bool   // it carries again at once, and the routes lead into it
}{
	"Deleted": {func(tunnel, _ netlink.Link) error { return netlink.LinkDel(tunnel) }, "", true},
	"DeletedAndItsNameTaken": {func(tunnel, _ netlink.Link) error {
		if err := netlink.LinkDel(tunnel); err != nil {
			return err
		}
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: tunnel.Attrs().Name}, PeerName: "taken"})
	}, "the interface is gone", false},
	"Down": {func(tunnel, _ netlink.Link) error { return netlink.LinkSetDown(tunnel) }, "", true},
	"WithoutItsAddress": {func(tunnel, _ netlink.Link) error {
		return netlink.AddrDel(tunnel, &netlink.Addr{IPNet: ipNet(tunnelAddr + "/16")})
	}, "", true},
	"BesideAnOverlappingNetwork": {func(_, elsewhere netlink.Link) error {
		return netlink.AddrAdd(elsewhere, &netlink.Addr{IPNet: ipNet("10.8.0.9/24")})
	}, "", false},
	"BesideAMoreSpecificRoute": {func(_, elsewhere netlink.Link) error {
		return around(elsewhere)
	}, "", false},
}

// around leads packets for the CVM past the tunnel.
func around(elsewhere netlink.Link) error {
	return netlink.RouteAdd(&netlink.Route{LinkIndex: elsewhere.Attrs().Index, Dst: ipNet("10.8.0.2/32"), Scope: netlink.SCOPE_LINK})
}

// Whatever befalls the interface, no packet for a CVM leaves the gateway's machine
// but through the tunnel: neither of connections that were open, nor of new ones.
func TestNothingForACVMLeavesTheTunnel(t *testing.T) {
	for fault, leak := range leaks {
		t.Run(fault, func(t *testing.T) {
			w := newWorld(t)
			heard := w.impostor()
			g := w.start()
			flows := []*flow{w.flow(modes[0]), w.flow(modes[2])}
			g.Signal(t, syscall.SIGSTOP) // else it may mend one half before the other comes
			befall(t, w, leak.befall)
			g.Signal(t, syscall.SIGCONT)
			if leak.ready != "" {
				eventually(t, patience, "/readyz says why", func() bool { return strings.Contains(g.get("/readyz"), leak.ready) })
			}
			for _, f := range flows {
				mustWrite(t, f.client, []byte("secret"))
				if leak.ready == "" {
					mustRead(t, f.instance, "secret")
				}
			}
			if leak.ready == "" {
				eventually(t, patience, "/readyz is content", func() bool { return g.get("/readyz") == "ok\n" })
			}
			for _, suffix := range []string{"443s", "443"} {
				if leak.ready == "" {
					w.flow(modes[0]).mustEcho(t)
					w.flow(modes[2]).mustEcho(t)
					break
				}
				c := w.dial()
				mustWrite(t, c, helloFor(name("alpha", suffix)))
				wantAlert(t, c, internalError)
				wantField(t, g.access(name("alpha", suffix)), "reason", "no_tunnel")
			}
			if leak.heals {
				befall(t, w, func(_, elsewhere netlink.Link) error { return around(elsewhere) })
			}
			// The machine's other sockets do leave the tunnel, and what they send now is
			// heard after all the rest.
			w.sendDatagram(t, "10.8.0.2:443")
			eventually(t, patience, "the impostor hears a datagram", func() bool { return heard.datagrams.Load() > 0 })
			if n := heard.segments.Load(); n != 0 {
				t.Errorf("%d TCP segments for the CVM left the tunnel", n)
			}
		})
	}
}

// heard counts the packets for the tunnel network that came to somebody else.
type heard struct{ segments, datagrams atomic.Int64 }

func (h *heard) packet(p []byte) {
	switch {
	case len(p) < 20 || binary.BigEndian.Uint16(p[16:]) != 10<<8|8:
	case p[9] == unix.IPPROTO_TCP:
		h.segments.Add(1)
	case p[9] == unix.IPPROTO_UDP:
		h.datagrams.Add(1)
	}
}

// impostor is a machine to which the gateway's default route leads, and which has
// the CVM's address.
func (w *world) impostor() *heard {
	w.t.Helper()
	h := gwtest.NewHost(w.t, "impostor")
	gwtest.Connect(w.t, w.gateway, "elsewhere", prefixes("203.0.113.1/24"), h, "eth0", prefixes("203.0.113.2/24", "10.8.0.2/32"))
	if err := w.gateway.Do(func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(203, 0, 113, 2)})
	}); err != nil {
		w.t.Fatal(err)
	}
	all := new(heard)
	stop, stopped := make(chan struct{}), make(chan struct{})
	err := h.Do(func() error {
		const ipv4 = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // network order
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, ipv4)
		if err != nil {
			return err
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
			return err
		}
		go func() {
			defer close(stopped)
			defer unix.Close(fd)
			for {
				select {
				case <-stop:
					return
				default:
				}
				p := make([]byte, 64)
				if n, _, err := unix.Recvfrom(fd, p, 0); err == nil {
					all.packet(p[:n])
				}
			}
		}()
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	return all
}

// sendDatagram sends one from the gateway's machine.
func (w *world) sendDatagram(t *testing.T, to string) {
	t.Helper()
	err := w.gateway.Do(func() error {
		c, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("hello"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// befall has a fault happen to the interfaces of the gateway's machine.
func befall(t *testing.T, w *world, fault func(tunnel, elsewhere netlink.Link) error) {
	t.Helper()
	err := w.gateway.Do(func() error {
		tunnel, err := netlink.LinkByName(w.link)
		if err != nil {
			return err
		}
		elsewhere, err := netlink.LinkByName("elsewhere")
		if err != nil {
			return err
		}
		return fault(tunnel, elsewhere)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ipNet(s string) *net.IPNet {
	p := netip.MustParsePrefix(s)
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
