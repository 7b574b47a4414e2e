package wg

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/vm"
	"sallyport/wg/userspace"
)

// A stream that was there before goes on, and nothing is told anew: the interface
// that is made again has the index, the port and the peers of the one before.
func TestTunnelIsWholeAgainAfterwards(t *testing.T) {
	for name, f := range faults {
		if f.ready == "" || name == "renamed" { // what no repair is for, and a test of its own
			continue
		}
		t.Run(name, func(t *testing.T) {
			s, elsewhere, guest := withImpostor(t, io.Discard)
			s.join(s.guests[0])
			s.guests[0].echo(guest.String()) // the guest serves where the impostor does
			stream, err := s.dial(guest, patience)
			must(t, err)
			stop := running(t, s.device)
			s.befall(f, elsewhere)
			s.mustHeal()
			c, err := s.dial(guest, patience)
			must(t, err)
			mustEcho(t, c)
			mustEcho(t, stream)
			must(t, stop())
		})
	}
}

// mustHeal waits until the tunnel is ready again, and looks at it from outside.
func (s *site) mustHeal() {
	s.t.Helper()
	eventually(s.t, "the tunnel is ready again", func() bool { return s.device.Ready() == nil })
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(s.t, err)
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		must(s.t, err)
		if link.Attrs().Flags&net.FlagUp == 0 || len(addrs) != 1 || addrs[0].IPNet.String() != s.options.Address.String() {
			s.t.Errorf("flags %s, addresses %v", link.Attrs().Flags, addrs)
		}
		routes, err := netlink.RouteGet(s.guests[0].address.AsSlice())
		must(s.t, err)
		if len(routes) != 1 || routes[0].LinkIndex != link.Attrs().Index || !routes[0].Src.Equal(s.options.Address.Addr().AsSlice()) {
			s.t.Errorf("routes %v", routes)
		}
	})
	if dev := s.wireguard(); dev.ListenPort != s.options.ListenPort || dev.PrivateKey != wgtypes.Key(s.options.PrivateKey.secret) {
		s.t.Errorf("listen port %d, key %s", dev.ListenPort, dev.PublicKey)
	}
	if isolated := dropped(s, "input"); isolated > 1<<20 {
		s.t.Errorf("%d packets dropped", isolated)
	}
}

func TestRenamedInterfaceGetsItsNameBack(t *testing.T) {
	s := newSite(t)
	guest := s.joined()
	s.rename()
	stop := running(t, s.device) // it would set up at once what is set down to be renamed
	s.mustHeal()
	s.mustReach(guest)
	must(t, stop())
}

func TestRenamedInterfaceWaitsForItsName(t *testing.T) {
	s := newSite(t)
	s.open()
	renamed := unusedName()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		must(t, netlink.LinkSetDown(link))
		must(t, netlink.LinkSetName(link, renamed))
		must(t, netlink.LinkAdd(veth(s.options.Interface)))
	})
	stop := running(t, s.device)
	if err := s.device.Ready(); err == nil || !strings.Contains(err.Error(), "was renamed to "+renamed) {
		t.Errorf("ready: %v", err)
	}
	s.gateway.alter(s.options.Interface, netlink.LinkDel)
	s.mustHeal()
	must(t, stop())
}

// Somebody gives the name to an interface of his own: it is his, gets none of our
// peers, and tells us nothing.
func TestInterfaceOfAnotherProgramIsLeftAlone(t *testing.T) {
	s := newSite(t)
	guest := s.joined()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		must(t, netlink.LinkDel(link))
		if tunnelMode() == ModeKernel {
			must(t, netlink.LinkAdd(&netlink.Wireguard{LinkAttrs: netlink.LinkAttrs{Name: s.options.Interface}}))
			return
		}
		must(t, netlink.LinkAdd(veth(s.options.Interface)))
	})
	stop := running(t, s.device)
	if _, err := s.device.Handshakes(t.Context()); err == nil {
		t.Error("handshakes of somebody else's interface")
	}
	if err := s.device.SetPeer(t.Context(), Peer{Key: s.guests[1].device.PublicKey(), Address: s.guests[1].address}); err == nil {
		t.Error("a peer was set on somebody else's interface")
	}
	if s.device.Ready() == nil {
		t.Error("ready")
	}
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		if link.Attrs().Flags&net.FlagUp != 0 {
			t.Error("somebody else's interface was set up")
		}
		must(t, netlink.LinkDel(link))
	})
	s.mustHeal()
	if n := len(s.wireguard().Peers); n != 1 {
		t.Errorf("%d peers", n)
	}
	s.mustReach(guest)
	must(t, stop())
}

// The kernel tells of a change: nobody waits for the next look.
func TestChangeIsRepairedWithinMilliseconds(t *testing.T) {
	s := newSite(t)
	s.open()
	s.device.look = time.Hour
	stop := running(t, s.device)
	for range 3 {
		s.gateway.alter(s.options.Interface, netlink.LinkDel)
		eventually(t, "the interface is there again", func() bool { return s.device.Ready() == nil })
	}
	must(t, stop())
}

func TestGuestsInterfaceIsMadeAgainToo(t *testing.T) {
	s := newSite(t)
	s.open()
	g := s.guests[0]
	s.join(g)
	stop := running(t, g.device)
	g.alter(g.device.Name(), netlink.LinkDel)
	eventually(t, "the guest's tunnel is ready again", func() bool { return g.device.Ready() == nil })
	c, err := s.dial(g.echo(g.address.String()+":0"), patience)
	must(t, err)
	mustEcho(t, c)
	must(t, stop())
}

// What fails is tried each second: it must leave nothing behind each time.
func TestFailedRepairLeavesNoDescriptor(t *testing.T) {
	s := newSite(t)
	s.open()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		must(t, netlink.LinkDel(link))
		must(t, netlink.LinkAdd(veth(s.options.Interface)))
	})
	s.device.guard(t.Context())
	before := descriptors(t)
	for range 20 {
		s.device.guard(t.Context())
	}
	if after := descriptors(t); after > before+5 {
		t.Errorf("%d descriptors became %d", before, after)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(open)
}

// A cleaner of old files takes it, or whoever removes the directory of a unit.
func TestSocketIsThereAgain(t *testing.T) {
	if tunnelMode() != ModeUserspace {
		t.Skip("of a device in this process alone")
	}
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	stop := running(t, s.device)
	must(t, os.Remove(filepath.Join(userspace.SocketDir, s.options.Interface+".sock")))
	if _, err := s.device.Handshakes(t.Context()); err != nil {
		t.Errorf("handshakes without the socket: %v", err)
	}
	eventually(t, "the socket is open again", func() bool {
		c, err := net.Dial("unix", filepath.Join(userspace.SocketDir, s.options.Interface+".sock"))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if n := len(s.wireguard().Peers); n != 1 {
		t.Errorf("wg shows %d peers", n)
	}
	must(t, stop())
	must(t, os.Remove(filepath.Join(userspace.SocketDir, s.options.Interface+".sock")))
	must(t, s.device.Close())
}

// Another program that undoes each repair at once fills no log.
func TestFightWithAnotherProgramIsLoggedEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := fakeDevice(t, nil)
		var log bytes.Buffer
		d.o.Log = slog.New(slog.NewTextHandler(&log, nil))
		f.mend = restored{what: []string{"address"}}
		stop := running(t, d)
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's clock
		must(t, stop())
		if n := strings.Count(log.String(), "\n"); n < 2 || n > 7 {
			t.Errorf("%d lines in a minute: %s", n, log.String())
		}
	})
}

func TestInterfaceWhoseIndexIsTakenGetsAnother(t *testing.T) {
	s := newSite(t)
	guest := s.joined()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.options.Interface)
		must(t, err)
		must(t, netlink.LinkDel(link))
		taken := veth(unusedName())
		taken.Index = link.Attrs().Index
		must(t, netlink.LinkAdd(taken))
	})
	stop := running(t, s.device)
	s.mustHeal()
	s.mustReach(guest)
	must(t, stop())
}

// Who was put out while there was no interface does not come back with it.
func TestPeerRemovedMeanwhileDoesNotComeBack(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	s.join(s.guests[1])
	s.gateway.alter(s.options.Interface, netlink.LinkDel)
	must(t, s.device.RemovePeer(t.Context(), s.guests[0].device.PublicKey()))
	s.device.guard(t.Context())
	must(t, s.device.Ready())
	if peers := s.wireguard().Peers; len(peers) != 1 || vm.WGKey(peers[0].PublicKey) != s.guests[1].device.PublicKey() {
		t.Errorf("peers %+v", peers)
	}
}

// What cannot be set on the new interface is tried again, and is not taken for
// removed by somebody else meanwhile.
func TestPeersOfANewInterfaceAreAllSetInTheEnd(t *testing.T) {
	d, f := fakeDevice(t, nil)
	for n := byte(1); n <= 3; n++ {
		must(t, d.SetPeer(t.Context(), peerNumber(n)))
	}
	clear(f.state.peers) // a new one has none
	f.mend = restored{what: []string{"interface"}, made: true}
	busy := errors.New("no memory")
	f.fail = func(c change) error {
		if c.key == keyNumber(2) {
			return busy
		}
		return nil
	}
	d.guard(t.Context())
	if err := d.Ready(); err == nil || !strings.Contains(err.Error(), "still lacks") {
		t.Errorf("ready: %v", err)
	}
	_, err := d.Handshakes(t.Context())
	must(t, err)
	f.mend, f.fail = restored{}, nil
	d.guard(t.Context())
	must(t, d.Ready())
	if len(f.state.peers) != 3 || f.state.peers[keyNumber(2)].address != peerNumber(2).Address {
		t.Errorf("peers %+v", f.state.peers)
	}
}
