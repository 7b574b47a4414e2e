package wg

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/wgctrl"

	"sallyport/internal/vm"
	"sallyport/wg/userspace"
)

func TestCloseLeavesNothingBehind(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	must(t, s.device.Close())
	nothingLeft(t, s.gateway, s.options.Interface)
	for _, g := range s.guests {
		must(t, g.device.Close())
	}
	noGoroutineLeft(t)
}

func TestCloseAfterTheInterfaceIsGoneIsNoError(t *testing.T) {
	s := newSite(t)
	s.open()
	s.gateway.alter(s.options.Interface, netlink.LinkDel)
	must(t, s.device.Close())
	nothingLeft(t, s.gateway, s.options.Interface)
}

func TestCloseOfNetstackLeavesNoGoroutine(t *testing.T) {
	gateway, guest, _ := netstackPair(t)
	must(t, gateway.Close())
	must(t, guest.Close())
	noGoroutineLeft(t)
}

func TestFailedOpenLeavesNothingBehind(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	o.Mode, o.ListenPort = ModeUserspace, 51820
	var taken net.PacketConn
	h.do(func() {
		var err error
		taken, err = net.ListenPacket("udp4", "0.0.0.0:51820")
		must(t, err)
		_, err = Open(t.Context(), o)
		if err == nil || !strings.Contains(err.Error(), "listen_port") {
			t.Errorf("port in use: error %v", err)
		}
	})
	nothingLeft(t, h, o.Interface)
	noGoroutineLeft(t)
	must(t, taken.Close())
	h.open(o)
}

func TestPortInUseIsReportedInNetstackToo(t *testing.T) {
	taken, err := net.ListenPacket("udp4", "0.0.0.0:0")
	must(t, err)
	defer taken.Close()
	o := autoOptions(t)
	o.Mode, o.ListenPort = ModeNetstack, taken.LocalAddr().(*net.UDPAddr).Port
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "listen_port") {
		t.Errorf("error %v", err)
	}
}

func TestNameInUseIsReportedAndLeftAlone(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	h.do(func() {
		must(t, netlink.LinkAdd(veth(o.Interface)))
		for _, o.Mode = range []Mode{ModeKernel, ModeUserspace, ModeAuto} {
			if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ip link del") {
				t.Errorf("mode %s: error %v", o.Mode, err)
			}
		}
		_, err := netlink.LinkByName(o.Interface)
		must(t, err)
	})
}

// The directory of the sockets is the host's, whatever the network namespace: an
// interface of the same name may have its socket there.
func TestSocketOfAnotherDeviceIsLeftAlone(t *testing.T) {
	var log lockedBuffer
	o := autoOptions(t)
	o.Mode = ModeUserspace
	first, other := newHost(t), newHost(t)
	first.open(o)
	second := o
	second.PrivateKey, second.Log = newKey(t), slog.New(slog.NewTextHandler(&log, nil))
	other.do(func() {
		d, err := Open(t.Context(), second)
		must(t, err)
		must(t, d.Ready())
		must(t, d.SetPeer(t.Context(), peerNumber(1)))
		must(t, d.Close())
	})
	if n := strings.Count(log.String(), "another process"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
	nothingOfInterface(t, other, o.Interface)
	if dev := first.wireguard(o.Interface); vm.WGKey(dev.PublicKey) != o.PrivateKey.Public() || len(dev.Peers) != 0 {
		t.Errorf("wg shows %+v", dev)
	}
}

func TestAddressInUseIsReported(t *testing.T) {
	for _, taken := range []string{"10.8.0.1/32", "10.8.7.7/16", "10.8.0.9/24", "10.0.0.1/8"} {
		h := newHost(t)
		o := autoOptions(t)
		o.Mode = ModeUserspace
		h.do(func() {
			link := veth(unusedName())
			must(t, netlink.LinkAdd(link))
			addr, err := netlink.ParseAddr(taken)
			must(t, err)
			must(t, netlink.AddrAdd(link, addr))
			if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), link.Name) {
				t.Errorf("%s taken: error %v", taken, err)
			}
		})
		nothingLeft(t, h, o.Interface)
	}
}

func TestRouteIntoTheTunnelNetworkIsReported(t *testing.T) {
	for to, refused := range map[string]bool{
		"10.8.0.0/16": true, "10.8.3.0/24": true, "10.8.0.2/32": true, "10.0.0.0/8": false, "10.9.0.0/24": false,
	} {
		h := newHost(t)
		o := autoOptions(t)
		o.Mode = ModeUserspace
		h.do(func() {
			link := veth(unusedName())
			must(t, netlink.LinkAdd(link))
			must(t, netlink.LinkSetUp(link))
			_, network, err := net.ParseCIDR(to)
			must(t, err)
			must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, Scope: netlink.SCOPE_LINK}))
			d, err := Open(t.Context(), o)
			if err == nil {
				must(t, d.Close())
			}
			if said := err != nil && strings.Contains(err.Error(), to); said != refused {
				t.Errorf("route to %s: error %v", to, err)
			}
		})
		nothingLeft(t, h, o.Interface)
	}
}

func TestSocketOfKilledProcessIsReplaced(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	o.Mode = ModeUserspace
	must(t, os.MkdirAll(userspace.SocketDir, 0o755))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(userspace.SocketDir, o.Interface+".sock"), Net: "unix"})
	must(t, err)
	l.SetUnlinkOnClose(false)
	must(t, l.Close())
	h.open(o)
	info, err := os.Stat(filepath.Join(userspace.SocketDir, o.Interface+".sock"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s: the socket tells the private key", info.Mode())
	}
}

// A kernel interface outlives its gateway. A device of another process stands for
// it here: from the interface on, the code is the same.
func TestInterfaceOfEarlierRunIsAdopted(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	o.ListenPort = 51820
	survivor(t, h, o)
	c, err := wgctrl.New()
	must(t, err)
	defer c.Close()
	endpoint := netip.MustParseAddrPort("192.0.2.9:51820")
	for n := byte(1); n <= 2; n++ {
		p := peerNumber(n)
		must(t, c.ConfigureDevice(o.Interface, change{key: p.Key, address: p.Address, endpoint: endpoint}.config()))
	}
	var d *Device
	h.do(func() {
		d, err = open(t.Context(), o, map[Mode]opener{
			ModeKernel: func(o Options) (backend, error) {
				return openTunnel(o, maker{adopt: func(t *tunnel, link netlink.Link) error {
					t.link = link
					return t.checkKey()
				}})
			},
		})
		must(t, err)
	})
	defer d.Close()
	must(t, d.RemovePeersExcept(t.Context(), []vm.WGKey{keyNumber(1)}))
	must(t, d.SetPeer(t.Context(), peerNumber(1)))
	dev := h.wireguard(o.Interface)
	if len(dev.Peers) != 1 || vm.WGKey(dev.Peers[0].PublicKey) != keyNumber(1) || dev.Peers[0].Endpoint.String() != endpoint.String() {
		t.Errorf("peers %+v", dev.Peers)
	}
}

func TestInterfaceWithAnotherKeyIsNotAdopted(t *testing.T) {
	h := newHost(t)
	o := autoOptions(t)
	survivor(t, h, o)
	o.PrivateKey = newKey(t)
	c, err := wgctrl.New()
	must(t, err)
	defer c.Close()
	if err := (&tunnel{o: o, control: &kernelControl{name: o.Interface, client: c}}).checkKey(); err == nil || !strings.Contains(err.Error(), "another private key") {
		t.Errorf("error %v", err)
	}
}

// lockedBuffer keeps what wireguard-go may log a moment after Close.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func veth(name string) *netlink.Veth {
	return &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: unusedName()}
}

// survivor is an interface with the key and port of o that nobody of ours made.
func survivor(t *testing.T, h *host, o Options) {
	t.Helper()
	h.do(func() {
		dev, err := userspace.OpenTUN(o.Interface, 1420, 0)
		must(t, err)
		wgo := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelSilent, ""))
		t.Cleanup(wgo.Close)
		must(t, wgo.IpcSet(deviceText(o.PrivateKey, o.ListenPort)))
		must(t, wgo.Up())
		sock, err := userspace.Serve(o.Interface, wgo.IpcHandle)
		must(t, err)
		t.Cleanup(func() { must(t, sock.Close()) })
	})
}

func nothingLeft(t *testing.T, h *host, iface string) {
	t.Helper()
	nothingOfInterface(t, h, iface)
	if _, err := os.Stat(filepath.Join(userspace.SocketDir, iface+".sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket is left: %v", err)
	}
}

func nothingOfInterface(t *testing.T, h *host, iface string) {
	t.Helper()
	h.do(func() {
		if _, err := netlink.LinkByName(iface); err == nil {
			t.Errorf("interface %s is left", iface)
		}
		c, err := nftables.New()
		must(t, err)
		tables, err := c.ListTables()
		must(t, err)
		for _, table := range tables {
			t.Errorf("nftables table %s is left", table.Name)
		}
	})
}

// noGoroutineLeft waits for the libraries' goroutines too: some end a moment after Close.
func noGoroutineLeft(t *testing.T) {
	t.Helper()
	eventually(t, "end of all goroutines", func() bool {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		for stack := range strings.SplitSeq(stacks, "\n\n") {
			ours := strings.Contains(stack, "wireguard/") || strings.Contains(stack, "gvisor") || strings.Contains(stack, "sallyport/wg.")
			if ours && !strings.Contains(stack, "testing.tRunner") && !strings.Contains(stack, "serveEcho") {
				return false
			}
		}
		return true
	})
}
