package wg

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// namesUs reports whether err names this process as the one in the way.
func namesUs(err error) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid()))
}

// The second has the first one's key, as a gateway that is started twice has. On
// the kernel's WireGuard it would adopt the interface, and delete it at its end.
func TestSecondDeviceLeavesTheInterfaceOfTheFirstAlone(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	for _, mode := range []Mode{ModeKernel, ModeUserspace, ModeAuto} {
		second := s.options
		second.Mode, second.ListenPort = mode, 0
		s.gateway.do(func() {
			if _, err := Open(t.Context(), second); !namesUs(err) {
				t.Errorf("mode %s: error %v", mode, err)
			}
		})
	}
	must(t, s.device.Ready())
	if n := len(s.wireguard().Peers); n != 1 {
		t.Errorf("the first has %d peers left", n)
	}
	must(t, s.device.Close())
	s.open()
}
