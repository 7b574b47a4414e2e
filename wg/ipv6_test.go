package wg

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/listenat"
)

// Of a kernel without IPv6 alone, which make test-kernel boots.
func TestTunnelWorksWithoutIPv6InEveryMode(t *testing.T) {
	if listenat.HasIPv6() {
		t.Skip("the kernel has IPv6")
	}
	for _, mode := range []Mode{ModeKernel, ModeUserspace} {
		for _, guest := range []Mode{ModeKernel, ModeUserspace} {
			s := newSite(t)
			s.options.Mode = mode
			s.open()
			must(t, s.device.Ready())
			if port := s.device.ListenPort(); port != 51820 {
				t.Errorf("mode %s: port %d", mode, port)
			}
			g := s.guests[0]
			must(t, g.device.Close())
			g.device = g.open(Options{
				Mode: guest, Interface: unusedName(), PrivateKey: newKey(t), Address: netip.PrefixFrom(g.address, 16), Guest: true,
			})
			if g.device.ListenPort() == 0 {
				t.Errorf("mode %s: a guest's port is not known", guest)
			}
			s.join(g)
			c, err := s.dial(g.echo(g.address.String()+":0"), patience)
			must(t, err)
			mustEcho(t, c)
			must(t, s.device.Close())
		}
	}
}

// Linux 5.10's WireGuard opens no sockets without IPv6.
func TestAutoPassesOverAKernelWhoseWireGuardNeedsIPv6(t *testing.T) {
	if err := new(tunnel).portError(unix.EAFNOSUPPORT); !errors.Is(err, errNotPossible) {
		t.Errorf("error %v", err)
	}
}
