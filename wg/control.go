package wg

import (
	"errors"
	"fmt"
	"net"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/vm"
)

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
	again := t.inside.Do(func() (err error) {
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

func (t *tunnel) apply(c change) error {
	if err := t.mine(); err != nil {
		return err
	}
	return t.write(c.config())
}

// config is one peer. A wg(8) user would write the same with `wg set`.
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

func (t *tunnel) dump() (state, error) {
	dev, err := t.read()
	if err == nil {
		err = t.mine() // after it: what was read is ours, not another's of our name
	}
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

// mine says why the name of our interface is not our interface's now. An interface
// that somebody else gave the name has none of our peers, and must get none.
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

// handshakeTime is "never" for the epoch too, which is how some report it.
func handshakeTime(at time.Time) time.Time {
	if at.Unix() <= 0 {
		return time.Time{}
	}
	return at
}
