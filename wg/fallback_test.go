package wg

import (
	"errors"
	"io"
	"net/netip"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
)

// The sockets of a guest's services are not bound to the interface.
func TestGuestsServicesNeverAnswerOutsideOfTheTunnel(t *testing.T) {
	for name, f := range faults {
		if f.ready == "" { // the host has a route of its own to the other end
			continue
		}
		t.Run(name, func(t *testing.T) {
			s, elsewhere, peer := withImpostor(t, io.Discard)
			s.join(s.guests[0])
			s.guests[0].echo(peer.String()) // the peer serves where the impostor does
			s.befall(f, elsewhere)
			if c, err := s.gateway.dial(peer, patience); !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("while the tunnel is broken: %v, %v", c, err)
			}
			if name == "renamed" { // the impostor has the name now
				return
			}
			s.device.guard(t.Context())
			must(t, s.device.Ready())
			c, err := s.gateway.dial(peer, patience)
			must(t, err)
			mustEcho(t, c)
		})
	}
}

func TestFallbackRouteIsTakenOverAndRemoved(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	o.Mode, o.Guest = tunnelMode(), true
	narrow := o
	narrow.Address = netip.MustParsePrefix("10.8.0.1/30")
	for _, killed := range []Options{o, narrow} {
		h.do(func() { must(t, netlink.RouteAdd((&tunnel{o: killed}).fallback())) })
	}
	d := h.open(o)
	if n := h.fallbackRoutes(); n != 1 {
		t.Errorf("%d routes", n)
	}
	must(t, d.Close())
	if n := h.fallbackRoutes(); n != 0 {
		t.Errorf("%d routes are left", n)
	}
	o.Guest = false
	h.open(o)
	if n := h.fallbackRoutes(); n != 0 {
		t.Errorf("a gateway has %d routes", n)
	}
}

func (h *host) fallbackRoutes() (n int) {
	h.t.Helper()
	h.do(func() {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, 0)
		must(h.t, err)
		for _, r := range routes {
			if isFallback(r) {
				n++
			}
		}
	})
	return n
}
