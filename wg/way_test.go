package wg

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
)

// fault is something that can happen to an interface.
type fault struct {
	befall func(t *testing.T, tunnel, elsewhere netlink.Link)
	ready  string // what Ready says; "": it is ready
}

// faults are what can happen to an interface while a gateway runs. After each of them
// the system's routes lead to the impostor.
var faults = map[string]fault{
	"deleted": {func(t *testing.T, tunnel, _ netlink.Link) {
		must(t, netlink.LinkDel(tunnel))
	}, errGone.Error()},
	"down": {func(t *testing.T, tunnel, _ netlink.Link) {
		must(t, netlink.LinkSetDown(tunnel))
	}, "is down"},
	"renamed": {func(t *testing.T, tunnel, elsewhere netlink.Link) {
		must(t, netlink.LinkSetDown(tunnel))
		must(t, netlink.LinkSetName(tunnel, unusedName()))
		must(t, netlink.LinkSetDown(elsewhere)) // else no kernel before 6.2 renames it
		must(t, netlink.LinkSetName(elsewhere, tunnel.Attrs().Name))
		must(t, netlink.LinkSetUp(elsewhere))
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: elsewhere.Attrs().Index, Gw: net.IPv4(192, 0, 2, 10)}))
	}, "was renamed"},
	"without its address": {func(t *testing.T, tunnel, _ netlink.Link) {
		addrs, err := netlink.AddrList(tunnel, netlink.FAMILY_V4)
		must(t, err)
		must(t, netlink.AddrDel(tunnel, &addrs[0]))
	}, "lost its address"},
	"without its route": {func(t *testing.T, tunnel, _ netlink.Link) {
		_, network, err := net.ParseCIDR("10.8.0.0/16")
		must(t, err)
		must(t, netlink.RouteDel(&netlink.Route{LinkIndex: tunnel.Attrs().Index, Dst: network, Scope: netlink.SCOPE_LINK}))
	}, "the route 10.8.0.0/16"},
	"beside an overlapping network": {func(t *testing.T, _, elsewhere netlink.Link) {
		addr, err := netlink.ParseAddr("10.8.0.9/24")
		must(t, err)
		must(t, netlink.AddrAdd(elsewhere, addr))
	}, ""},
	"beside a more specific route": {func(t *testing.T, _, elsewhere netlink.Link) {
		_, guest, err := net.ParseCIDR("10.8.0.2/32")
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: elsewhere.Attrs().Index, Dst: guest, Scope: netlink.SCOPE_LINK}))
	}, ""},
}

// withImpostor is a gateway's host with the tunnel to a guest, and a default route to
// somebody who answers as that guest. Nothing is filtered: the rules would drop his answers.
func withImpostor(t *testing.T, log io.Writer) (s *site, elsewhere netlink.Link, claimed netip.AddrPort) {
	t.Helper()
	s = newSite(t)
	s.options.Guest, s.options.Log = true, slog.New(slog.NewTextHandler(log, nil))
	s.open()
	impostor := newHost(t)
	cable(s.gateway, impostor, "192.0.2.9", "192.0.2.10")
	impostor.do(func() {
		lo, err := netlink.LinkByName("lo")
		must(t, err)
		addr, err := netlink.ParseAddr(s.guests[0].address.String() + "/32")
		must(t, err)
		must(t, netlink.AddrAdd(lo, addr))
		must(t, netlink.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 9)}))
	})
	s.gateway.do(func() {
		routes, err := netlink.RouteGet(net.IPv4(192, 0, 2, 10))
		must(t, err)
		elsewhere, err = netlink.LinkByIndex(routes[0].LinkIndex)
		must(t, err)
		must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: elsewhere.Attrs().Index, Gw: net.IPv4(192, 0, 2, 10)}))
	})
	return s, elsewhere, impostor.echo(s.guests[0].address.String() + ":0")
}

// befall lets a fault happen to the gateway's interface.
func (s *site) befall(f fault, elsewhere netlink.Link) {
	s.t.Helper()
	s.gateway.alter(s.options.Interface, func(tunnel netlink.Link) error {
		f.befall(s.t, tunnel, elsewhere)
		return nil
	})
}

// rename gives the gateway's interface another name, as another program could.
func (s *site) rename() {
	s.t.Helper()
	s.gateway.alter(s.options.Interface, func(link netlink.Link) error {
		must(s.t, netlink.LinkSetDown(link))
		must(s.t, netlink.LinkSetName(link, unusedName()))
		return netlink.LinkSetUp(link)
	})
}

func TestDialNeverLeavesTheTunnel(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s, elsewhere, guest := withImpostor(t, &log)
			s.gateway.do(func() { must(t, s.device.backend.(*tunnel).removeFallback()) }) // a gateway has none
			s.befall(f, elsewhere)
			if c, err := s.dial(guest, 300*time.Millisecond); err == nil {
				c.Close()
				t.Error("reached somebody else, without knowing of the fault")
			}
			if err := s.device.Ready(); f.ready == "" {
				must(t, err)
				must(t, s.device.Ready())
				if n := strings.Count(log.String(), "a route of another interface"); n != 1 {
					t.Errorf("the log has %d lines about the other route: %s", n, log.String())
				}
			} else if err == nil || !strings.Contains(err.Error(), f.ready) {
				t.Errorf("ready: %v", err)
			} else if _, err := s.dial(guest, 300*time.Millisecond); err == nil || !strings.Contains(err.Error(), errNoWay.Error()) {
				t.Errorf("dial while not ready: %v", err)
			}
			c, err := s.gateway.dial(guest, patience)
			must(t, err) // a socket that is not tied does reach him
			mustEcho(t, c)
		})
	}
}

// dial connects through the device.
func (s *site) dial(to netip.AddrPort, patience time.Duration) (c net.Conn, err error) {
	s.gateway.do(func() {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		c, err = s.device.Dial(ctx, to)
	})
	return c, err
}

func TestDialThroughTheDeviceReachesGuest(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	c, err := s.dial(s.guests[0].echo(s.guests[0].address.String()+":0"), patience)
	must(t, err)
	mustEcho(t, c)
}

func TestDialIsOpenAgainAfterTheFault(t *testing.T) {
	s := newSite(t)
	guest := s.joined()
	change := func(f func(netlink.Link) error) { s.gateway.alter(s.options.Interface, f) }
	change(netlink.LinkSetDown)
	if s.device.Ready() == nil {
		t.Fatal("ready")
	}
	change(netlink.LinkSetUp)
	must(t, s.device.Ready())
	s.mustReach(guest)
}

func TestWithoutATunnelNoSocketIsTied(t *testing.T) {
	netstack, _, _ := netstackPair(t)
	none, err := Open(t.Context(), Options{Mode: ModeNone})
	must(t, err)
	defer none.Close()
	for _, d := range []*Device{netstack, none} {
		if err := d.Bind(0); err == nil {
			t.Errorf("mode %s: tied", d.Mode())
		}
	}
}

func TestSomeGuestIsNeitherTheGatewayNorABroadcastAddress(t *testing.T) {
	for own, want := range map[string]string{
		"10.8.0.1/16": "10.8.0.2", "10.8.255.254/16": "10.8.255.253", "10.8.0.1/30": "10.8.0.2", "10.8.0.2/30": "10.8.0.1",
	} {
		if got := someGuest(netip.MustParsePrefix(own)); got.String() != want {
			t.Errorf("%s: %s, want %s", own, got, want)
		}
	}
}

// Run closes the way when it sees a fault, opens it again, and tells of both once.
func TestRunSaysOnceThatTheTunnelIsNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := fakeDevice(t, nil)
		var log bytes.Buffer
		d.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		fault := func(err error) {
			must(t, d.inTurn(t.Context(), func() error { f.fault = err; return nil }))
			time.Sleep(5 * time.Second) //nolint:forbidigo // the bubble's clock
		}
		stop := running(t, d)
		fault(errors.New("interface wg-test is down"))
		fault(nil)
		must(t, stop())
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "wg-test is down") || !strings.Contains(lines[1], "ready again") {
			t.Errorf("log: %q", lines)
		}
	})
}
