package wg

import (
	"fmt"
	"net"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/wg/kernel"
)

// control configures one WireGuard device and reads its state: the kernel's by
// generic netlink, one in this process by calls (uapi.go).
type control interface {
	// configure sets the key, and the port unless it is 0, where the device has another.
	configure(key PrivateKey, port int) error
	start() error // takes the UDP port, if the interface does not do so when it comes up
	apply(change) error
	dump() (state, error)
	close() error
}

func (t *tunnel) apply(c change) error {
	if err := t.mine(); err != nil {
		return err
	}
	return t.control.apply(c)
}

func (t *tunnel) dump() (state, error) {
	if t.control == nil {
		return state{}, errGone
	}
	s, err := t.control.dump()
	if err == nil {
		err = t.mine() // after the dump: it is not that of another interface of our name
	}
	if err != nil {
		return state{}, err
	}
	return s, nil
}

// mine returns an error unless our interface exists and has its name. An interface of
// another owner that has the name has none of our peers, and must get none.
func (t *tunnel) mine() error {
	link, err := t.current()
	switch {
	case err != nil:
		return err
	case link == nil:
		return errGone
	case link.Attrs().Name != t.o.Interface:
		return fmt.Errorf("the interface was renamed to %s", link.Attrs().Name)
	}
	return nil
}

// kernelControl is a conversation with a kernel device of this name. wgctrl finds
// devices of other processes too.
type kernelControl struct {
	name   string
	inside *kernel.Namespace
	client *wgctrl.Client
}

// openKernelControl must come after the interface is there: before, the kernel may not
// have loaded its WireGuard, and wgctrl would not look for it again.
func openKernelControl(name string, inside *kernel.Namespace) (*kernelControl, error) {
	client, err := wgctrl.New()
	if err != nil {
		return nil, fmt.Errorf("%w: generic netlink: %w", errNotPossible, err)
	}
	return &kernelControl{name: name, inside: inside, client: client}, nil
}

// devicePatience is how long one conversation with the device may take. A kernel takes
// some 11 s to remove MaxPeers peers.
const devicePatience = time.Minute

// talk bounds one conversation. wgctrl has no deadlines: its sockets are closed to end a
// conversation, and opened again.
func (k *kernelControl) talk(f func(*wgctrl.Client) error) error {
	late := time.AfterFunc(devicePatience, func() { _ = k.client.Close() })
	err := f(k.client)
	if late.Stop() {
		return err
	}
	again := k.inside.Do(func() (err error) {
		k.client, err = wgctrl.New()
		return err
	})
	return oneline.Join(fmt.Errorf("the device did not answer within %s: %w", devicePatience, err), again)
}

func (k *kernelControl) read() (dev *wgtypes.Device, err error) {
	err = k.talk(func(c *wgctrl.Client) error {
		dev, err = c.Device(k.name)
		return err
	})
	return dev, err
}

func (k *kernelControl) write(cfg wgtypes.Config) error {
	return k.talk(func(c *wgctrl.Client) error { return c.ConfigureDevice(k.name, cfg) })
}

// configure leaves a port alone that is right: to set it again would make an adopted
// device forget where its peers are.
func (k *kernelControl) configure(key PrivateKey, port int) error {
	cur, err := k.read()
	if err != nil {
		return fmt.Errorf("read device: %w", err)
	}
	var c wgtypes.Config
	if own := wgtypes.Key(key.secret); cur.PrivateKey != own {
		c.PrivateKey = &own
	}
	if port != 0 && cur.ListenPort != port {
		c.ListenPort = &port
	}
	if c.PrivateKey == nil && c.ListenPort == nil {
		return nil
	}
	return k.write(c)
}

func (k *kernelControl) start() error { return nil }

func (k *kernelControl) apply(c change) error { return k.write(c.config()) }

// config returns one peer. A user of wg(8) would write the same with `wg set`.
func (c change) config() wgtypes.Config {
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
	return wgtypes.Config{Peers: []wgtypes.PeerConfig{p}}
}

func (k *kernelControl) dump() (state, error) {
	dev, err := k.read()
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

// removePeers removes all peers in one request.
func (k *kernelControl) removePeers() error { return k.write(wgtypes.Config{ReplacePeers: true}) }

func (k *kernelControl) close() error { return k.client.Close() }

// handshakeTime returns "never" for the epoch too, which is how some devices report it.
func handshakeTime(at time.Time) time.Time {
	if at.Unix() <= 0 {
		return time.Time{}
	}
	return at
}
