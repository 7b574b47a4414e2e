package userspace

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"

	"sallyport/internal/listenat"
)

// udpBind is wireguard-go's UDP sockets. On a kernel without IPv6 they work, but
// report port 0: wg(8) would show it, and the next change of the sockets would take
// any port.
type udpBind struct{ conn.Bind }

func newBind() conn.Bind { return udpBind{conn.NewDefaultBind()} }

// Open implements conn.Bind.
func (b udpBind) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	if port != 0 || listenat.HasIPv6() {
		return b.open(port)
	}
	const tries = 10
	for try := 1; ; try++ {
		free, err := freePort()
		if err != nil {
			return nil, 0, err
		}
		receive, actual, err := b.open(free)
		if errors.Is(err, unix.EADDRINUSE) && try < tries {
			continue // another process took it meanwhile
		}
		return receive, actual, err
	}
}

func (b udpBind) open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	receive, actual, err := b.Bind.Open(port)
	if err == nil && actual == 0 {
		actual = port
	}
	return receive, actual, err
}

// freePort returns a UDP port that was free a moment ago.
func freePort() (uint16, error) {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return 0, fmt.Errorf("find a free UDP port: %w", err)
	}
	port := c.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return port, c.Close()
}
