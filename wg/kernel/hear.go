package kernel

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A Subject names the notifications to listen for.
type Subject struct {
	Protocol int    // NETLINK_…
	Groups   []uint // multicast groups of it, of the first 32
	// Concerns reports whether a notification matters to the listener.
	Concerns func(syscall.NetlinkMessage) bool
}

// Hear listens in a namespace until ctx ends, and then returns nil. It calls
// changed once after it has begun to listen, after each batch of notifications of
// which one matters, and whenever the kernel has dropped some.
func Hear(ctx context.Context, inside *Namespace, about Subject, changed func()) error {
	var socket *nl.NetlinkSocket
	err := inside.Do(func() (err error) {
		socket, err = nl.Subscribe(about.Protocol, about.Groups...)
		return err
	})
	if err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	changed() // earlier changes were not heard
	for {
		news, _, err := socket.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // the kernel has dropped notifications
			changed()
		case err != nil:
			return err
		case slices.ContainsFunc(news, about.Concerns):
			changed()
		}
	}
}
