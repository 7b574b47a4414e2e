package wg

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/vm"
)

// tunnel is a network interface that speaks WireGuard. Only its making differs
// between the kernel's and wireguard-go's: addresses, isolation, peers and dumps
// go through netlink and wgctrl for both.
//
// All sockets are opened once and kept. Each conversation through them has a
// deadline: whoever waits for the kernel has the device's turn.
type tunnel struct {
	o         Options
	inside    *namespace
	name      *hold // of the interface
	nl        *netlink.Handle
	wg        *wgctrl.Client
	link      netlink.Link
	isolation isolation // not of a guest
	way       way
	// start takes the UDP port, for a device whose link does not do it when it comes up.
	start func() error

	undo []func() error // takes away what maker made or adopted, last first
}

// maker is what the two kinds differ in. Both set t.link.
type maker struct {
	adopt func(*tunnel, netlink.Link) error // an interface of our name is there: take or refuse it
	make  func(*tunnel) error
	// flags are how the table that isolates the interface is best owned. Where the
	// kernel cannot, it belongs to nobody.
	flags tableFlags
}

// openTunnel builds a tunnel. Isolation and the key come before the link is up: no
// packet passes a half-made tunnel.
func openTunnel(o Options, mk maker) (backend, error) {
	t := &tunnel{o: o, start: func() error { return nil }, isolation: isolation{flags: mk.flags}}
	for _, step := range []func() error{
		t.openSockets,
		t.holdName,
		t.checkOverlap,
		func() error { return t.find(mk.adopt) },
		func() error { return t.make(mk.make) },
		t.isolate,
		t.checkBind,
		t.openControl,
		t.configure,
		t.setAddress,
		t.disableIPv6,
		t.up,
		t.ready,
	} {
		if err := step(); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	return t, nil
}

func (t *tunnel) holdName() (err error) {
	t.name, err = holdName(t.o.Interface)
	return err
}

func (t *tunnel) openSockets() (err error) {
	if t.inside, err = currentNamespace(); err != nil {
		return err
	}
	if t.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("%w: netlink: %w", errNotPossible, err)
	}
	if err := t.nl.SetSocketTimeout(kernelPatience); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if t.o.Guest {
		return nil
	}
	return t.isolation.open(t.inside)
}

// openControl comes after the interface is there: before, the kernel may not have
// loaded its WireGuard, and wgctrl would not look for it again.
func (t *tunnel) openControl() (err error) {
	if t.wg != nil {
		return nil
	}
	if t.wg, err = wgctrl.New(); err != nil {
		return fmt.Errorf("%w: generic netlink: %w", errNotPossible, err)
	}
	return nil
}

// control is one conversation with the device about keys and peers. wgctrl has no
// deadlines: its sockets are closed to end one, and opened anew.
func (t *tunnel) control(talk func(*wgctrl.Client) error) error {
	late := time.AfterFunc(devicePatience, func() { _ = t.wg.Close() })
	err := talk(t.wg)
	if late.Stop() {
		return err
	}
	again := t.inside.do(func() (err error) {
		t.wg, err = wgctrl.New()
		return err
	})
	return errors.Join(fmt.Errorf("the device did not answer within %s: %w", devicePatience, err), again)
}

// kernelPatience is how long the kernel may take for one answer about interfaces
// and routes. It answers in microseconds, unless somebody holds one of its locks.
const kernelPatience = 5 * time.Second

// devicePatience is how long one conversation with the device may take. To remove
// MaxPeers peers takes a kernel some 11 s.
const devicePatience = time.Minute

// find looks for an interface of our name. It comes before isolate, which must
// not filter what belongs to somebody else.
func (t *tunnel) find(adopt func(*tunnel, netlink.Link) error) error {
	link, err := t.nl.LinkByName(t.o.Interface)
	if _, none := errors.AsType[netlink.LinkNotFoundError](err); none {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", t.o.Interface, err)
	}
	return adopt(t, link)
}

func (t *tunnel) make(mk func(*tunnel) error) error {
	if t.link != nil {
		return nil
	}
	if err := mk(t); err != nil {
		return err
	}
	link, err := t.nl.LinkByName(t.o.Interface)
	if err != nil {
		return fmt.Errorf("find interface %s just made: %w", t.o.Interface, err)
	}
	t.link = link
	return nil
}

// configure sets what the device does not have yet: setting the port of an
// adopted device again would make it forget where its peers are.
func (t *tunnel) configure() error {
	cur, err := t.read()
	if err != nil {
		return fmt.Errorf("read device: %w", err)
	}
	var c wgtypes.Config
	if key := wgtypes.Key(t.o.PrivateKey.secret); cur.PrivateKey != key {
		c.PrivateKey = &key
	}
	if t.o.ListenPort != 0 && cur.ListenPort != t.o.ListenPort {
		c.ListenPort = &t.o.ListenPort
	}
	if c.PrivateKey == nil && c.ListenPort == nil {
		return nil
	}
	return t.portError(t.write(c))
}

func (t *tunnel) read() (dev *wgtypes.Device, err error) {
	err = t.control(func(c *wgctrl.Client) error {
		dev, err = c.Device(t.o.Interface)
		return err
	})
	return dev, err
}

func (t *tunnel) write(cfg wgtypes.Config) error {
	return t.control(func(c *wgctrl.Client) error { return c.ConfigureDevice(t.o.Interface, cfg) })
}

// setAddress leaves the interface with our address alone; its prefix makes the
// route to the guests.
func (t *tunnel) setAddress() error {
	if err := t.nl.LinkSetMTU(t.link, t.o.MTU); err != nil {
		return fmt.Errorf("set mtu %d: %w", t.o.MTU, err)
	}
	old, err := t.nl.AddrList(t.link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range old {
		if p, ok := prefixOf(a.IPNet); ok && p == t.o.Address {
			continue
		}
		if err := t.nl.AddrDel(t.link, &a); err != nil {
			return fmt.Errorf("remove old address %s: %w", a.IPNet, err)
		}
	}
	own := &net.IPNet{IP: t.o.Address.Addr().AsSlice(), Mask: net.CIDRMask(t.o.Address.Bits(), 32)}
	if err := t.nl.AddrReplace(t.link, &netlink.Addr{IPNet: own}); err != nil {
		return fmt.Errorf("set address %s: %w", t.o.Address, err)
	}
	return nil
}

// disableIPv6 keeps the interface from having an fe80:: address at all. The
// isolation drops IPv6 anyway, so failing (a read-only /proc/sys) is no harm.
func (t *tunnel) disableIPv6() error {
	path := "/proc/sys/net/ipv6/conf/" + t.o.Interface + "/disable_ipv6"
	if err := os.WriteFile(path, []byte("1"), 0); err != nil {
		t.o.Log.Debug("IPv6 stays on the interface, filtered", "interface", t.o.Interface, "error", err.Error())
	}
	return nil
}

// up refuses an interface that is not isolated.
func (t *tunnel) up() error {
	if !t.isolated() {
		return t.notIsolated()
	}
	if err := t.portError(t.start()); err != nil {
		return err
	}
	return t.portError(t.nl.LinkSetUp(t.link))
}

func (t *tunnel) portError(err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return portInUse(t.o.ListenPort, err)
	}
	if err != nil {
		return fmt.Errorf("configure device: %w", err)
	}
	return nil
}

// apply writes one peer. A wg(8) user would write the same with `wg set`.
func (t *tunnel) apply(c change) error {
	p := wgtypes.PeerConfig{PublicKey: wgtypes.Key(c.key), Remove: c.remove, UpdateOnly: c.remove}
	if !c.remove {
		interval := keepalive
		p.PersistentKeepaliveInterval = &interval
		p.ReplaceAllowedIPs = true
		p.AllowedIPs = []net.IPNet{{IP: c.address.AsSlice(), Mask: net.CIDRMask(32, 32)}}
		if c.endpoint.IsValid() {
			p.Endpoint = net.UDPAddrFromAddrPort(c.endpoint)
		}
	}
	return t.write(wgtypes.Config{Peers: []wgtypes.PeerConfig{p}})
}

func (t *tunnel) dump() (state, error) {
	dev, err := t.read()
	if err != nil {
		return state{}, err
	}
	s := state{listenPort: dev.ListenPort, peers: make(map[vm.WGKey]peerState, len(dev.Peers))}
	for _, p := range dev.Peers {
		s.peers[vm.WGKey(p.PublicKey)] = peerState{
			address:   addressOf(prefixesOf(p.AllowedIPs), p.PersistentKeepaliveInterval),
			endpoint:  addrPortOf(p.Endpoint),
			handshake: handshakeTime(p.LastHandshakeTime),
		}
	}
	return s, nil
}

func (t *tunnel) listen(netip.AddrPort) (net.Listener, error) { return nil, errNoSockets }

func (t *tunnel) later(f func() error) { t.undo = append(t.undo, f) }

// close takes the interface away, and then what kept others safe from it: if it
// stays, so do the rules.
func (t *tunnel) close() error {
	t.way.index.Store(0)
	err := t.unmake()
	if t.isolation.written && err == nil {
		err = t.unisolate()
	}
	return errors.Join(err, t.closeSockets())
}

func (t *tunnel) unmake() error {
	var errs []error
	for _, undo := range slices.Backward(t.undo) {
		errs = append(errs, undo())
	}
	t.undo, t.link = nil, nil
	return errors.Join(errs...)
}

func (t *tunnel) closeSockets() error {
	var errs []error
	if t.name != nil {
		errs = append(errs, t.name.close())
	}
	if t.wg != nil {
		errs = append(errs, t.wg.Close())
	}
	errs = append(errs, t.isolation.close())
	if t.nl != nil {
		t.nl.Close()
	}
	if t.inside != nil {
		errs = append(errs, t.inside.close())
	}
	return errors.Join(errs...)
}

// handshakeTime is "never" for the epoch too, which is how some report it.
func handshakeTime(at time.Time) time.Time {
	if at.Unix() <= 0 {
		return time.Time{}
	}
	return at
}
