package wg

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/wg/nft"
)

// The kernel keeps an interface, its peers and their sessions when the gateway is
// killed. The next run of the same key adopts it, and the guests notice nothing.

// So do the rules.
func kernelMaker() maker {
	return maker{adopt: adoptKernel, make: makeKernel, flags: nft.Owned | nft.Persistent, outlives: true}
}

// adoptKernel refuses an interface that is not the gateway's own: taking an
// operator's VPN by its name would remove all its peers.
func adoptKernel(t *tunnel, link netlink.Link) error {
	if link.Type() != "wireguard" {
		return nameTaken(link)
	}
	if err := t.checkKey(); err != nil {
		return err
	}
	t.o.Log.Info("took over the wireguard interface of an earlier run", "interface", t.o.Interface)
	t.link = link
	t.later(func() error { return t.removeLink(link.Attrs().Index) })
	return nil
}

// checkKey returns an error unless the interface that exists has our key.
func (t *tunnel) checkKey() error {
	k, err := t.kernelControl()
	if err != nil {
		return err
	}
	dev, err := k.read()
	if err != nil {
		return fmt.Errorf("read interface %s: %w", t.o.Interface, err)
	}
	if dev.PrivateKey != wgtypes.Key(t.o.PrivateKey.secret) {
		return fmt.Errorf("interface %s already exists with another private key: if it is unused, remove it (ip link del %s), or choose another [wireguard] interface",
			t.o.Interface, t.o.Interface)
	}
	return nil
}

// kernelControl returns the control of a kernel device, which is opened once and kept.
func (t *tunnel) kernelControl() (*kernelControl, error) {
	if k, ok := t.control.(*kernelControl); ok {
		return k, nil
	}
	k, err := openKernelControl(t.o.Interface, t.inside)
	if err != nil {
		return nil, err
	}
	t.control = k
	return k, nil
}

func makeKernel(t *tunnel, index int) error {
	attrs := netlink.LinkAttrs{Name: t.o.Interface, MTU: t.o.MTU, Index: index}
	err := t.nl.LinkAdd(&netlink.Wireguard{LinkAttrs: attrs})
	if index != 0 && (errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)) { // the index is what is taken
		attrs.Index = 0
		err = t.nl.LinkAdd(&netlink.Wireguard{LinkAttrs: attrs})
	}
	if err != nil {
		return fmt.Errorf("%w: create interface %s: %w", errNotPossible, t.o.Interface, kernelHint(err))
	}
	if err := t.made(); err != nil {
		return err
	}
	made := t.link.Attrs().Index
	t.later(func() error { return t.removeLink(made) })
	_, err = t.kernelControl()
	return err
}

func kernelHint(err error) error {
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel has no WireGuard (modprobe wireguard): %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("CAP_NET_ADMIN is missing: %w", err)
	}
	return err
}

func nameTaken(link netlink.Link) error {
	name := link.Attrs().Name
	return fmt.Errorf("interface %s already exists (type %s): remove it (ip link del %s), or choose another [wireguard] interface",
		name, link.Type(), name)
}

// removeLink removes the peers first, in one request, while the kernel holds the
// lock that makes it wait for each by an expedited grace period. With the interface
// it would wait for each by an ordinary one: 17.5 ms, or 18 s for 1,000 peers.
func (t *tunnel) removeLink(index int) error {
	link, err := t.nl.LinkByIndex(index)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone {
		return nil
	}
	if k, ok := t.control.(*kernelControl); ok && err == nil && link.Attrs().Name == t.o.Interface {
		err = k.removePeers()
	}
	if err == nil {
		err = t.nl.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove interface %s: %w", t.o.Interface, err)
	}
	return nil
}
