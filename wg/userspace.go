package wg

import (
	"errors"
	"fmt"
	"os"

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

// makeUserspace makes a TUN interface with wireguard-go behind it, and the socket
// through which wgctrl and wg(8) configure it like a kernel one.
func makeUserspace(t *tunnel, index int) error {
	dev, err := userspace.OpenTUN(t.o.Interface, t.o.MTU, index)
	if index != 0 && errors.Is(err, unix.EBUSY) { // the index may be what is taken
		dev, err = userspace.OpenTUN(t.o.Interface, t.o.MTU, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("interface %s is in use by another process: choose another [wireguard] interface: %w", t.o.Interface, err)
	}
	if err != nil {
		return fmt.Errorf("%w: make TUN interface %s (needs %s and CAP_NET_ADMIN): %w", errNotPossible, t.o.Interface, userspace.Path, err)
	}
	wgo := userspace.NewDevice(dev, t.o.Log)
	t.start = wgo.Up
	t.later(func() error { wgo.Close(); dev.Wait(); return nil })
	t.handle = wgo.IpcHandle
	t.later(t.closeUAPI)
	if err := t.openUAPI(); err != nil {
		return err
	}
	return t.made()
}

func (t *tunnel) openUAPI() (err error) {
	t.uapi, err = userspace.Serve(t.o.Interface, t.handle)
	if denied(err) {
		return fmt.Errorf("%w: %w", errNotPossible, err)
	}
	return err
}

func (t *tunnel) closeUAPI() error {
	if t.uapi == nil {
		return nil
	}
	err := t.uapi.Close()
	t.uapi = nil
	return err
}

// denied reports whether err means that this process may not, or this system cannot.
func denied(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)
}
