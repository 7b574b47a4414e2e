package wg

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"

	"sallyport/wg/isolate"
	"sallyport/wg/nft"
)

// sockets counts the TCP sockets of this host that speak with an address.
func (h *host) sockets(to netip.Addr) (n int) {
	h.t.Helper()
	const timeWait, closed, listening = 6, 7, 10 // net/tcp_states.h
	h.do(func() {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			found, err := netlink.SocketDiagTCP(family)
			must(h.t, err)
			for _, s := range found {
				speaks := s.State != timeWait && s.State != closed && s.State != listening
				if peer, ok := netip.AddrFromSlice(s.ID.Destination); ok && speaks && peer.Unmap() == to {
					n++
				}
			}
		}
	})
	return n
}

// guardNow has the device looked at, as Run does.
func (s *site) guardNow() {
	s.t.Helper()
	s.device.guard(s.t.Context())
}

func TestConnectionsOfAGapAreEnded(t *testing.T) {
	s := hostileSiteOf(t, (*site).openShared)
	evil, good := s.guests[0], s.guests[1]
	own, err := s.dial(good.echo(good.address.String()+":0"), patience)
	must(t, err)
	local := map[string]netip.AddrPort{"IPv4": s.gateway.echo("10.8.0.1:0"), "dual stack": s.gateway.echo("[::]:0")}
	backlog := s.gateway.echo("10.8.0.1:0")

	s.gateway.nft(flushRuleset)
	for what, at := range local {
		c, err := evil.dial(netip.AddrPortFrom(s.options.Address.Addr(), at.Port()), patience)
		if err != nil {
			t.Fatalf("%s: the guest did not get in without the rules: %v", what, err)
		}
		defer c.Close()
	}
	// One more, that has not acknowledged yet: its host does not let the answer in.
	evil.nft(func(c *nftables.Conn) {
		table := c.AddTable(&nftables.Table{Name: "deaf", Family: nftables.TableFamilyINet})
		chain := c.AddChain(&nftables.Chain{Name: "input", Table: table, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Type: nftables.ChainTypeFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}}})
	})
	if c, err := evil.dial(backlog, 100*time.Millisecond); err == nil {
		c.Close()
		t.Fatal("the guest has its answer")
	}
	if n := s.gateway.sockets(evil.address); n != 3 {
		t.Fatalf("%d sockets to the guest", n)
	}

	s.guardNow()
	if n := s.gateway.sockets(evil.address); n != 0 {
		t.Errorf("%d sockets to the guest are left", n)
	}
	must(t, s.device.Ready())
	mustEcho(t, own)
}

// A new connection of the gateway's lives through the sweeps that follow.
func TestSweepSparesTheGatewaysConnections(t *testing.T) {
	s := newSite(t)
	s.openShared()
	s.join(s.guests[0])
	s.gateway.nft(flushRuleset)
	c, err := s.dial(s.guests[0].echo(s.guests[0].address.String()+":0"), patience)
	must(t, err)
	for range 3 {
		s.guardNow()
	}
	mustEcho(t, c)
}

// Somebody has taken the table and does not give it back.
func TestInterfaceIsDownWhileRulesCannotBeWritten(t *testing.T) {
	s := hostileSiteOf(t, (*site).openShared)
	needFlags(t, s.gateway, nft.Owned)
	guest := s.guests[0].echo(s.guests[0].address.String() + ":0")
	thief := s.gateway.filter()
	must(t, thief.Replace(nft.Table{Name: isolate.TableName(s.options.Interface), Flags: nft.Owned}))
	s.guardNow()
	if s.gateway.isUp(s.options.Interface) {
		t.Error("the interface is up")
	}
	if err := s.device.Ready(); err == nil || !strings.Contains(err.Error(), "not isolated") {
		t.Errorf("ready: %v", err)
	}
	if _, err := s.dial(guest, patience); !errors.Is(err, errNoWay) {
		t.Errorf("dial: %v", err)
	}
	for what, at := range victims(s) {
		if c, err := s.guests[0].dial(at, 500*time.Millisecond); err == nil {
			c.Close()
			t.Errorf("guest reached %s", what)
		}
	}
	must(t, thief.Remove(isolate.TableName(s.options.Interface)))
	s.guardNow()
	must(t, s.device.Ready())
	s.mustReach(guest)
}

func (h *host) isUp(name string) (up bool) {
	h.t.Helper()
	h.do(func() {
		link, err := netlink.LinkByName(name)
		must(h.t, err)
		up = isUp(link)
	})
	return up
}

// The kernel says when the table is changed, and only then.
func TestChangesOfTheTableAreHeard(t *testing.T) {
	s := newSite(t)
	s.openShared()
	ctx, cancel := context.WithCancel(t.Context())
	var heard atomic.Int64
	done := make(chan error)
	go func() { done <- s.device.backend.(*tunnel).watchRules(ctx, func() { heard.Add(1) }) }()
	eventually(t, "the start is told", func() bool { return heard.Load() == 1 })
	another := &nftables.Table{Name: "another", Family: nftables.TableFamilyINet}
	own := &nftables.Table{Name: isolate.TableName(s.options.Interface), Family: nftables.TableFamilyINet}
	for _, change := range []func(*nftables.Conn){
		func(c *nftables.Conn) { c.FlushChain(&nftables.Chain{Name: "output", Table: own}) },
		func(c *nftables.Conn) { c.AddChain(&nftables.Chain{Name: "more", Table: own}) },
		flushRuleset,
	} {
		s.gateway.nft(func(c *nftables.Conn) { c.AddTable(another) })
		s.gateway.nft(func(c *nftables.Conn) { c.DelTable(another) })
		before := heard.Load()
		s.gateway.nft(change)
		eventually(t, "a change is told", func() bool { return heard.Load() > before })
	}
	before := heard.Load()
	s.gateway.nft(func(c *nftables.Conn) { c.AddTable(another) })
	s.gateway.nft(func(c *nftables.Conn) { c.AddTable(own) })
	eventually(t, "the table is told", func() bool { return heard.Load() > before })
	if n := heard.Load(); n != before+1 {
		t.Errorf("%d more were told: another's table too", n-before)
	}
	cancel()
	must(t, <-done)
}

// A killed gateway's interface may have been without rules until the next run.
func TestConnectionsThroughAnAdoptedInterfaceAreEnded(t *testing.T) {
	s := newSite(t)
	survivor(t, s.gateway, s.options)
	g := s.guests[0]
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		addr, err := netlink.ParseAddr(s.options.Address.String())
		must(t, err)
		must(t, netlink.AddrAdd(link, addr))
		must(t, netlink.LinkSetUp(link))
	})
	c, err := wgctrl.New()
	must(t, err)
	defer c.Close()
	must(t, c.ConfigureDevice(s.options.Interface, change{key: g.device.PublicKey(), address: g.address}.config()))
	must(t, g.device.SetPeer(t.Context(), g.gateway))
	in, err := g.dial(s.gateway.echo("10.8.0.1:0"), patience)
	must(t, err)
	defer in.Close()
	s.gateway.do(func() {
		s.device, err = open(t.Context(), s.options, map[Mode]opener{s.options.Mode: func(o Options) (backend, error) {
			return openTunnel(o, maker{adopt: func(t *tunnel, link netlink.Link) error {
				t.link = link
				return t.checkKey()
			}})
		}})
		must(t, err)
	})
	defer func() { must(t, s.device.Close()) }()
	if n := s.gateway.sockets(g.address); n != 0 {
		t.Errorf("%d sockets to the guest are left", n)
	}
}
