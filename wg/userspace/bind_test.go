package userspace

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
)

// portless is a bind that opens sockets and says port 0, as wireguard-go's does
// where there is no IPv6.
type portless struct {
	conn.Bind
	opened uint16
	busy   int // times that the port is in use
}

func (p *portless) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	if p.busy > 0 {
		p.busy--
		return nil, 0, unix.EADDRINUSE
	}
	p.opened = port
	return nil, 0, nil
}

func TestPortOfSocketsWithoutIPv6IsKnown(t *testing.T) {
	b := &portless{}
	_, port, err := udpBind{b}.Open(51820)
	if err != nil || port != 51820 || b.opened != 51820 {
		t.Errorf("opened %d, port %d, %v", b.opened, port, err)
	}
	b.busy = 1
	if _, _, err := (udpBind{b}).Open(51820); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("port in use: error %v", err)
	}
}
