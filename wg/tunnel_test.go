package wg

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/vm"
)

// A site is a gateway and two guests, cabled to it and not to each other.
type site struct {
	t       *testing.T
	gateway *host
	options Options
	device  *Device
	guests  [2]*guest
}

type guest struct {
	*host
	device  *Device
	address netip.Addr
	gateway Peer // how the guest knows the gateway
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, gateway: newHost(t)}
	s.options = Options{
		Mode: tunnelMode(), Interface: unusedName(), PrivateKey: newKey(t), ListenPort: 51820,
		Address: netip.MustParsePrefix("10.8.0.1/16"), EndpointsFile: filepath.Join(t.TempDir(), "endpoints"),
	}
	for i, near := range []string{"192.0.2.1", "192.0.2.5"} {
		g := &guest{host: newHost(t)}
		s.guests[i] = g
		cable(s.gateway, g.host, near, netip.MustParseAddr(near).Next().String())
		g.address = netip.AddrFrom4([4]byte{10, 8, 0, byte(2 + i)})
		g.device = g.open(Options{
			Mode: tunnelMode(), Interface: unusedName(), PrivateKey: newKey(t),
			Address: netip.PrefixFrom(g.address, 16), Guest: true,
		})
		g.gateway = Peer{
			Key: s.options.PrivateKey.Public(), Address: s.options.Address.Addr(),
			Endpoint: netip.AddrPortFrom(netip.MustParseAddr(near), 51820),
		}
	}
	return s
}

func (s *site) open() { s.device = s.gateway.open(s.options) }

// join registers the guest with the gateway, and lets it call.
func (s *site) join(g *guest) {
	s.t.Helper()
	must(s.t, s.device.SetPeer(s.t.Context(), Peer{Key: g.device.PublicKey(), Address: g.address}))
	must(s.t, g.device.SetPeer(s.t.Context(), g.gateway))
	eventually(s.t, "handshake with the guest", func() bool { return !s.handshake(g).IsZero() })
}

// joined opens the gateway and lets the first guest join. It returns the address of an
// echo server in that guest.
func (s *site) joined() netip.AddrPort {
	s.t.Helper()
	s.open()
	s.join(s.guests[0])
	return s.guests[0].echo(s.guests[0].address.String() + ":0")
}

// mustReach expects an echo through the device.
func (s *site) mustReach(guest netip.AddrPort) {
	s.t.Helper()
	c, err := s.dial(guest, patience)
	must(s.t, err)
	mustEcho(s.t, c)
}

func (s *site) handshake(g *guest) time.Time {
	s.t.Helper()
	at, err := s.device.Handshakes(s.t.Context())
	must(s.t, err)
	return at[g.device.PublicKey()]
}

func (s *site) wireguard() *wgtypes.Device {
	s.t.Helper()
	return s.gateway.wireguard(s.options.Interface)
}

// wireguard is what this host's device is, as wg(8) would read it.
func (h *host) wireguard(name string) (dev *wgtypes.Device) {
	h.t.Helper()
	h.control(func(c *wgctrl.Client) (err error) {
		dev, err = c.Device(name)
		return err
	})
	return dev
}

// control does what wg(8) could do on this host.
func (h *host) control(f func(*wgctrl.Client) error) {
	h.t.Helper()
	h.do(func() {
		c, err := wgctrl.New()
		must(h.t, err)
		defer c.Close()
		must(h.t, f(c))
	})
}

func TestGatewayReachesGuestThroughTunnel(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	if age := time.Since(s.handshake(s.guests[0])); age < 0 || age > patience {
		t.Errorf("age of the handshake is %s", age)
	}
	port := s.guests[0].echo(s.guests[0].address.String() + ":0")
	c, err := s.gateway.dial(port, patience)
	must(t, err)
	mustEcho(t, c)
	must(t, s.device.Ready())
}

func TestInterfaceHasOurAddressAndMTUAndNoIPv6(t *testing.T) {
	s := newSite(t)
	s.options.MTU = 1280
	s.open()
	s.gateway.do(func() {
		link, err := netlink.LinkByName(s.device.Name())
		must(t, err)
		addrs, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		must(t, err)
		if len(addrs) != 1 || addrs[0].IPNet.String() != "10.8.0.1/16" || link.Attrs().MTU != 1280 {
			t.Errorf("addresses %v, mtu %d", addrs, link.Attrs().MTU)
		}
	})
}

func TestReadySaysWhatIsWrongWithTheInterface(t *testing.T) {
	s := newSite(t)
	s.open()
	must(t, s.device.Ready())
	change := func(f func(netlink.Link) error) { s.gateway.alter(s.device.Name(), f) }
	change(netlink.LinkSetDown)
	if err := s.device.Ready(); err == nil || !strings.Contains(err.Error(), "is down") {
		t.Errorf("down: %v", err)
	}
	change(netlink.LinkSetUp)
	must(t, s.device.Ready())
	change(netlink.LinkDel)
	if err := s.device.Ready(); err == nil || !strings.Contains(err.Error(), errGone.Error()) {
		t.Errorf("gone: %v", err)
	}
}

func TestRepeatedPeerKeepsLearntEndpoint(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	before := s.wireguard().Peers[0]
	if before.Endpoint == nil {
		t.Fatal("no endpoint learnt")
	}
	must(t, s.device.SetPeer(t.Context(), Peer{Key: s.guests[0].device.PublicKey(), Address: s.guests[0].address}))
	after := s.wireguard().Peers[0]
	if after.Endpoint.String() != before.Endpoint.String() || !after.LastHandshakeTime.Equal(before.LastHandshakeTime) {
		t.Errorf("endpoint %s, handshake %s became %s, %s", before.Endpoint, before.LastHandshakeTime, after.Endpoint, after.LastHandshakeTime)
	}
}

func TestAnotherAddressKeepsLearntEndpoint(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	before := s.wireguard().Peers[0]
	must(t, s.device.SetPeer(t.Context(), Peer{Key: s.guests[0].device.PublicKey(), Address: netip.MustParseAddr("10.8.0.77")}))
	after := s.wireguard().Peers[0]
	if after.Endpoint.String() != before.Endpoint.String() {
		t.Errorf("endpoint %s became %s", before.Endpoint, after.Endpoint)
	}
	if len(after.AllowedIPs) != 1 || after.AllowedIPs[0].String() != "10.8.0.77/32" {
		t.Errorf("allowed addresses: %v", after.AllowedIPs)
	}
}

func TestRemovedPeerIsCutOff(t *testing.T) {
	s := newSite(t)
	s.open()
	g := s.guests[0]
	s.join(g)
	port := g.echo(g.address.String() + ":0")
	c, err := s.gateway.dial(port, patience)
	must(t, err)
	mustEcho(t, c)
	must(t, s.device.RemovePeer(t.Context(), g.device.PublicKey()))
	if c, err := s.gateway.dial(port, time.Second); err == nil {
		c.Close()
		t.Error("removed guest still answers")
	}
	if peers := s.wireguard().Peers; len(peers) != 0 {
		t.Errorf("the device still has %d peers", len(peers))
	}
}

// The guest cannot call in this test: it does not know where the gateway is. So
// only what the gateway kept over its restart can bring them together.
func TestGatewayDialsAtOnceAfterRestart(t *testing.T) {
	for _, tc := range []struct {
		name string
		keep bool
	}{{"with the endpoints file", true}, {"without", false}} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSite(t)
			if !tc.keep {
				s.options.EndpointsFile = ""
			}
			g := s.guests[0]
			s.open()
			s.join(g)
			must(t, running(t, s.device)()) // saves at its end
			must(t, s.device.Close())
			must(t, g.device.RemovePeer(t.Context(), g.gateway.Key))
			must(t, g.device.SetPeer(t.Context(), Peer{Key: g.gateway.Key, Address: g.gateway.Address}))

			s.open()
			must(t, s.device.SetPeer(t.Context(), Peer{Key: g.device.PublicKey(), Address: g.address}))
			wait := patience
			if !tc.keep {
				wait = time.Second
			}
			c, err := s.gateway.dial(g.echo(g.address.String()+":0"), wait)
			if tc.keep {
				must(t, err)
				mustEcho(t, c)
			} else if err == nil {
				t.Error("reached without an endpoint: the test proves nothing")
			}
		})
	}
}

func TestToolsOfOthersReadTheDevice(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	key := s.guests[0].device.PublicKey()
	dev := s.wireguard()
	if vm.WGKey(dev.PublicKey) != s.device.PublicKey() || dev.ListenPort != 51820 || s.device.ListenPort() != 51820 {
		t.Errorf("wgctrl reads key %s, port %d", dev.PublicKey, dev.ListenPort)
	}
	if p := dev.Peers[0]; vm.WGKey(p.PublicKey) != key || p.PersistentKeepaliveInterval != 25*time.Second {
		t.Errorf("wgctrl reads peer %+v", p)
	}
	if wg, err := exec.LookPath("wg"); err == nil {
		var out []byte
		s.gateway.do(func() {
			out, err = exec.CommandContext(t.Context(), wg, "show", s.options.Interface, "allowed-ips").CombinedOutput()
			must(t, err)
		})
		if got, want := strings.TrimSpace(string(out)), key.String()+"\t10.8.0.2/32"; got != want {
			t.Errorf("wg shows %q, want %q", got, want)
		}
	}
}

func TestPeerRemovedBehindOurBackIsSetAgain(t *testing.T) {
	s := newSite(t)
	s.open()
	g := s.guests[0]
	s.join(g)
	s.gateway.control(func(c *wgctrl.Client) error {
		return c.ConfigureDevice(s.options.Interface, wgtypes.Config{ReplacePeers: true})
	})
	if !s.handshake(g).IsZero() {
		t.Error("a peer that is gone still has a handshake")
	}
	must(t, s.device.SetPeer(t.Context(), Peer{Key: g.device.PublicKey(), Address: g.address}))
	if n := len(s.wireguard().Peers); n != 1 {
		t.Errorf("%d peers", n)
	}
}
