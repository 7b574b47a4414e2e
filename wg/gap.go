package wg

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A gap of the isolation is the time in which rules were missing. Guests may have
// connected to the host in it, so it is made good: the rules come back, and the
// connections end. If the rules cannot be written, the interface goes down until
// they can.

// sweepFor is how long after a gap a guest may still complete a connection that it
// began in it: so long the kernel takes its own SYN cookies (two periods of a
// minute, net/ipv4/syncookies.c), which it sends when a listener's queue is full.
const sweepFor = 2*time.Minute + 10*time.Second

// guard ends a gap.
func (t *tunnel) guard() (restored bool, err error) {
	if t.o.Guest {
		return false, nil
	}
	if !t.isolated() {
		restored, err = true, t.writeRules()
		t.gapEnds()
	}
	if err != nil {
		return restored, errors.Join(err, t.cutOff())
	}
	if t.isolation.cut {
		if err := t.up(); err != nil {
			return restored, err
		}
		t.isolation.cut = false
	}
	if time.Now().Before(t.isolation.sweepUntil) {
		t.sweep()
	}
	return restored, nil
}

func (t *tunnel) gapEnds() { t.isolation.sweepUntil = time.Now().Add(sweepFor) }

// cutOff takes the interface down.
func (t *tunnel) cutOff() error {
	t.isolation.cut = true
	if err := t.nl.LinkSetDown(t.link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("guests may reach this host, and interface %s cannot be taken down: stop the gateway, and remove the interface: %w", t.o.Interface, err)
	}
	return nil
}

// sweep ends what guests may have begun in a gap. That it fails is no reason to
// carry nothing: the rules are there.
func (t *tunnel) sweep() {
	ended, err := sweep(t.isolation.diag, t.o.Address, t.link.Attrs().Index, os.Geteuid())
	if ended > 0 {
		t.o.Log.Warn("connections to guests that the gateway has not made were ended: they came while the tunnel was not isolated", "interface", t.o.Interface, "connections", ended)
	}
	if err != nil {
		t.isolation.sweepUntil = time.Time{}
		t.o.Log.Error("connections that guests may have made while the tunnel was not isolated go on: look for them (ss -tn) and end them",
			"interface", t.o.Interface, "network", t.o.Address.Masked().String(), "error", err.Error())
	}
}

func isUp(link netlink.Link) bool { return link.Attrs().Flags&net.FlagUp != 0 }
