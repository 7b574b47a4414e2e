package wg

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// checkOverlap refuses to start where another interface, or a route to one, has
// addresses of the tunnel network. Sockets that are bound to the interface do not
// care, but guests' replies may be dropped (rp_filter), the other network is cut
// off, and the host's own programs reach its hosts in place of a guest.
func (t *tunnel) checkOverlap() error {
	if err := t.checkAddresses(); err != nil {
		return err
	}
	return t.checkRoutes()
}

func (t *tunnel) checkAddresses() error {
	addrs, err := t.addresses(nil)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		p, ok := prefixOf(a.IPNet)
		if !ok || !p.Overlaps(t.o.Address) {
			continue
		}
		link, err := t.nl.LinkByIndex(a.LinkIndex)
		if err != nil || link.Attrs().Name == t.o.Interface {
			continue // gone meanwhile, or ours of before
		}
		return fmt.Errorf("address %s overlaps with %s on interface %s: choose another [wireguard] address, or remove that one",
			t.o.Address, p, link.Attrs().Name)
	}
	return nil
}

// checkRoutes looks at the routes that would win over the tunnel's or be as good.
// Wider ones, the default route among them, lose.
func (t *tunnel) checkRoutes() error {
	own := t.o.Address.Masked()
	type route struct {
		to    netip.Prefix
		index int
	}
	var inside []route
	err := t.nl.RouteListFilteredIter(netlink.FAMILY_V4, &netlink.Route{}, 0, func(r netlink.Route) bool {
		if to, ok := prefixOf(r.Dst); ok && to.Bits() >= own.Bits() && own.Contains(to.Addr()) && !isFallback(r) && len(inside) < enoughRoutes {
			inside = append(inside, route{to, r.LinkIndex})
		}
		return true // to the end: the socket is used again
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range inside {
		if link, err := t.nl.LinkByIndex(r.index); err == nil && link.Attrs().Name == t.o.Interface {
			continue // ours of before
		}
		return fmt.Errorf("tunnel network %s overlaps with the route to %s (ip route show %s): choose another [wireguard] address, or remove the route",
			own, r.to, r.to)
	}
	return nil
}

// enoughRoutes bounds what is kept of a host's routes: an interface of an earlier
// run has one, and any other one is refused.
const enoughRoutes = 16

// reportRival logs when the host's own route to the guests begins to lead elsewhere.
// Nothing is lost by it: sockets that are bound to the interface do not care, and no
// dial is refused. But a strict rp_filter drops what guests answer, and then that
// line is the only sign of the cause.
func (t *tunnel) reportRival() {
	rival := ""
	routes, err := t.nl.RouteGet(someGuest(t.o.Address).AsSlice())
	if err == nil && len(routes) > 0 && routes[0].LinkIndex != t.link.Attrs().Index {
		if link, err := t.nl.LinkByIndex(routes[0].LinkIndex); err == nil {
			rival = link.Attrs().Name
		}
	}
	if rival != "" && rival != t.rival {
		t.o.Log.Warn("a route of another interface leads into the tunnel network; the gateway does not use it, but the kernel may drop guests' answers (net.ipv4.conf.*.rp_filter = 1): change one of the two networks",
			"interface", t.o.Interface, "network", t.o.Address.Masked().String(), "other", rival)
	}
	t.rival = rival
}
