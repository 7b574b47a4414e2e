package userspace

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"sallyport/internal/oneline"
)

// Path is the device from which TUN interfaces are made.
const Path = "/dev/net/tun"

// OpenTUN makes a TUN interface as tun.CreateTUN does. An index other than 0 is the
// index that it must have. Nothing is left open when it fails.
func OpenTUN(name string, mtu, index int) (*TUN, error) {
	fd, err := unix.Open(Path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Path, err)
	}
	if err := nameTUN(fd, name, index); err != nil {
		return nil, oneline.Join(err, unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), Path) // after the name: the poller takes it only then
	dev, err := tun.CreateTUNFromFile(file, mtu)
	if err != nil {
		return nil, oneline.Join(err, file.Close())
	}
	return newTUN(dev), nil
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

// TUN is a TUN interface that keeps its up and down events from wireguard-go. That
// would start the device at the first of them, which comes before the key is set, bind
// a random UDP port, and drop the error when our port is taken. The owner starts the
// device itself, once.
type TUN struct {
	tun.Device
	events chan tun.Event
	done   sync.WaitGroup
}

func newTUN(dev tun.Device) *TUN {
	t := &TUN{Device: dev, events: make(chan tun.Event)}
	t.done.Go(t.forward)
	return t
}

// Events implements tun.Device.
func (t *TUN) Events() <-chan tun.Event { return t.events }

// forward ends when the interface closes its own channel.
func (t *TUN) forward() {
	defer close(t.events)
	for e := range t.Device.Events() {
		if e&tun.EventMTUUpdate != 0 {
			t.events <- tun.EventMTUUpdate
		}
	}
}

// Wait returns after the interface was closed and its goroutine has ended.
func (t *TUN) Wait() { t.done.Wait() }
