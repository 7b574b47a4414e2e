package kernel

import (
	"context"
	"errors"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A Subject names the notifications to listen for.
type Subject struct {
	Protocol int      // NETLINK_…
	Groups   []uint32 // multicast groups of it
	// Concerns reports whether a notification matters to the listener.
	Concerns func(netlink.Message) bool
}

// Hear listens in a namespace until ctx ends, and then returns nil. It calls
// changed once after it has begun to listen, after each batch of notifications of
// which one matters, and whenever the kernel has dropped some.
func Hear(ctx context.Context, inside *Namespace, about Subject, changed func()) error {
	var socket *netlink.Conn
	err := inside.Do(func() (err error) {
		socket, err = netlink.Dial(about.Protocol, nil)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = socket.Close() }()
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	for _, group := range about.Groups {
		if err := socket.JoinGroup(group); err != nil {
			return err
		}
	}
	changed() // earlier changes were not heard
	for {
		news, err := socket.Receive()
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
