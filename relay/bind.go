package relay

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// errNoWay marks a dial that was given up before it began: Options.Bind says that
// there is no way to the backends.
var errNoWay = errors.New("no way to the instances")

// bind ties a socket that is to connect to a backend to the way there. Every
// socket that the engine makes for one comes through here.
func (e *Engine) bind(fd int) error {
	if e.opts.Bind == nil {
		return nil
	}
	if err := e.opts.Bind(fd); err != nil {
		return fmt.Errorf("%w: %w", errNoWay, err)
	}
	return nil
}

// comeFrom binds a socket, which is about to connect to the address, to the local port; 0
// leaves the choice to the kernel. SO_REUSEADDR lets other sockets of the gateway use the
// port towards other addresses, and later towards the same one.
func comeFrom(fd int32, to netip.AddrPort, port uint16) error {
	nonblock.SetInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if port == 0 {
		return nil
	}
	any := netip.IPv6Unspecified()
	if to.Addr().Unmap().Is4() {
		any = netip.IPv4Unspecified()
	}
	if errno := nonblock.Bind(fd, netip.AddrPortFrom(any, port)); errno != 0 {
		return errno
	}
	return nil
}
