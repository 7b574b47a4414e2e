package wg

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

const tunPath = "/dev/net/tun"

// userspaceMaker adopts nothing: an interface of ours would have gone with its
// process. So may its rules.
func userspaceMaker() maker {
	return maker{
		adopt: func(_ *tunnel, link netlink.Link) error { return nameTaken(link) },
		make:  makeUserspace,
		flags: owned,
	}
}

// makeUserspace makes a TUN interface with wireguard-go behind it, and the socket
// through which wgctrl and wg(8) configure it like a kernel one.
func makeUserspace(t *tunnel, index int) error {
	dev, err := openTUN(t.o.Interface, t.o.MTU, index)
	if index != 0 && errors.Is(err, unix.EBUSY) { // the index may be what is taken
		dev, err = openTUN(t.o.Interface, t.o.MTU, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("interface %s is in use by another process: choose another [wireguard] interface: %w", t.o.Interface, err)
	}
	if err != nil {
		return fmt.Errorf("%w: make TUN interface %s (needs %s and CAP_NET_ADMIN): %w", errNotPossible, t.o.Interface, tunPath, err)
	}
	quiet := newQuietTUN(dev)
	wgo := device.NewDevice(quiet, newUDPBind(), deviceLogger(t.o.Log))
	t.start = wgo.Up
	t.later(func() error { wgo.Close(); quiet.wait(); return nil })
	t.handle = wgo.IpcHandle
	t.later(t.closeUAPI)
	if err := t.openUAPI(); err != nil {
		return err
	}
	return t.made()
}

func (t *tunnel) openUAPI() (err error) {
	t.uapi, err = serveUAPI(t.o.Interface, t.handle)
	return err
}

func (t *tunnel) closeUAPI() error {
	if t.uapi == nil {
		return nil
	}
	err := t.uapi.close()
	t.uapi = nil
	return err
}

// openTUN makes a TUN interface as tun.CreateTUN does, with an index if one is
// asked for and free. Nothing is left open when it fails.
func openTUN(name string, mtu, index int) (tun.Device, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", tunPath, err)
	}
	if err := nameTUN(fd, name, index); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), tunPath) // after the name: the poller takes it only then
	dev, err := tun.CreateTUNFromFile(file, mtu)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return dev, nil
}

func nameTUN(fd int, name string, index int) error {
	if index != 0 {
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETIFINDEX, index); err != nil {
			return fmt.Errorf("index %d: %w", index, err)
		}
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
}

// quietTUN keeps the interface's up and down events from wireguard-go. It would
// start the device at the first of them, which comes before the key is set, bind
// a random UDP port, and drop the error when our port is taken. We start it
// ourselves, once.
type quietTUN struct {
	tun.Device
	events chan tun.Event
	done   sync.WaitGroup
}

func newQuietTUN(dev tun.Device) *quietTUN {
	q := &quietTUN{Device: dev, events: make(chan tun.Event)}
	q.done.Go(q.forward)
	return q
}

func (q *quietTUN) Events() <-chan tun.Event { return q.events }

// forward ends when the interface closes its own channel.
func (q *quietTUN) forward() {
	defer close(q.events)
	for e := range q.Device.Events() {
		if e&tun.EventMTUUpdate != 0 {
			q.events <- tun.EventMTUUpdate
		}
	}
}

func (q *quietTUN) wait() { q.done.Wait() }

// denied tells whether err means that this process may not, or this system cannot.
func denied(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)
}
