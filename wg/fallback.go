package wg

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The services of a guest do not bind their sockets to the tunnel, as a gateway does
// (way.go). Without the interface or its address, their answers would leave by the
// default route, in the clear, until the interface is repaired. So a guest's tunnel
// network has a second route, which loses against the tunnel's and makes the network
// unreachable. It stays when the process is killed, and the next one takes it over.

const (
	fallbackMetric   = 1 << 30 // the tunnel's route has 0
	fallbackProtocol = 83      // marks the route as ours; no known program uses this number
)

func (t *tunnel) fallback() *netlink.Route {
	return &netlink.Route{
		Dst: ipNet(t.o.Address.Masked()), Type: unix.RTN_UNREACHABLE, Priority: fallbackMetric,
		Protocol: fallbackProtocol, Table: unix.RT_TABLE_MAIN,
	}
}

// isFallback reports whether a route was made by addFallback.
func isFallback(r netlink.Route) bool {
	return r.Type == unix.RTN_UNREACHABLE && r.Protocol == fallbackProtocol
}

// addFallback makes the second route of a guest.
func (t *tunnel) addFallback() error {
	if !t.o.Guest {
		return nil
	}
	err := t.removeStale()
	if err == nil {
		err = t.nl.RouteReplace(t.fallback())
	}
	if err != nil {
		t.o.Log.Warn("while the tunnel is down, packets to the tunnel network may leave by the default route: the route that makes it unreachable cannot be set",
			"interface", t.o.Interface, "network", t.o.Address.Masked().String(), "error", err.Error())
		return nil
	}
	t.fallbackSet = true
	return nil
}

// removeStale removes what a killed process left for a part of the network, which was
// smaller with fewer gateways in it: such a route would win against the tunnel's.
func (t *tunnel) removeStale() error {
	routes, err := t.nl.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: fallbackProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list routes: %w", err)
	}
	own := t.o.Address.Masked()
	for _, r := range routes {
		to, ok := prefixOf(r.Dst)
		if !ok || !isFallback(r) || to.Bits() <= own.Bits() || !own.Contains(to.Addr()) {
			continue
		}
		if err := t.nl.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route %s: %w", to, err)
		}
	}
	return nil
}

// removeFallback comes after the interface is gone.
func (t *tunnel) removeFallback() error {
	if !t.fallbackSet {
		return nil
	}
	if err := t.nl.RouteDel(t.fallback()); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove the route that makes %s unreachable: %w", t.o.Address.Masked(), err)
	}
	return nil
}
