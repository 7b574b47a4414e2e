package wg

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/wg/nft"
	"sallyport/wg/userspace"
)

// userspaceMaker adopts nothing: an interface of ours would have gone with its
// process. So may its rules.
func userspaceMaker() maker {
	return maker{
		adopt: func(_ *tunnel, link netlink.Link) error { return nameTaken(link) },
		make:  makeUserspace,
		flags: nft.Owned,
	}
}

// makeUserspace makes a TUN interface with wireguard-go behind it.
func makeUserspace(t *tunnel, index int) error {
	dev, err := userspace.OpenTUN(t.o.Interface, t.o.MTU, index)
	if index != 0 && errors.Is(err, unix.EBUSY) { // perhaps only the index is taken
		dev, err = userspace.OpenTUN(t.o.Interface, t.o.MTU, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("interface %s is in use by another process: choose another [wireguard] interface: %w", t.o.Interface, err)
	}
	if err != nil {
		return fmt.Errorf("%w: create TUN interface %s (needs %s and CAP_NET_ADMIN): %w", errNotPossible, t.o.Interface, userspace.Path, err)
	}
	wgo := userspace.NewDevice(dev, t.o.Log)
	t.control = processControl{wgo}
	t.later(func() error { wgo.Close(); dev.Wait(); return nil })
	return t.made()
}

// openSocket lets wg(8) and other tools read a device in this process. Nothing here
// needs it, so a failure is only a warning.
func (t *tunnel) openSocket() error {
	if p, ok := t.control.(processControl); ok {
		t.later(t.closeSocket)
		t.serve(p)
	}
	return nil
}

// serve reports whether the socket is open.
func (t *tunnel) serve(p processControl) bool {
	s, err := userspace.Serve(t.o.Interface, p.wgo.IpcHandle)
	if err != nil {
		t.o.Log.Warn("wg(8) cannot show the interface: its socket cannot be opened", "interface", t.o.Interface, "error", err.Error())
		return false
	}
	t.socket = s
	return true
}

func (t *tunnel) closeSocket() error {
	if t.socket == nil {
		return nil
	}
	err := t.socket.Close()
	t.socket = nil
	return err
}

// restoreSocket opens the socket again after another program removed it.
func (t *tunnel) restoreSocket(netlink.Link) (bool, error) {
	p, ok := t.control.(processControl)
	if !ok || t.socket == nil || t.socket.InPlace() {
		return false, nil
	}
	_ = t.closeSocket() // its place is empty already
	return t.serve(p), nil
}
