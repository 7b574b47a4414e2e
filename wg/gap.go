package wg

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/isolate"
)

// A gap of the isolation is the time in which rules were missing. Guests may have
// connected to the host in it. So when a gap ends, the rules come back and these
// connections end. If the rules cannot be written, the interface goes down until
// they can.

// isolate writes the table. An interface that is up already may have been without
// it: its gateway was killed.
func (t *tunnel) isolate() error {
	if t.o.Guest {
		return nil
	}
	if err := t.writeRules(); err != nil {
		return err
	}
	if isUp(t.link) {
		t.isolation.GapEnds()
		t.sweep()
	}
	return nil
}

// isolated reports whether every rule is in force.
func (t *tunnel) isolated() bool { return t.o.Guest || t.isolation.Holds(t.link.Attrs().Index) }

func (t *tunnel) notIsolated() error {
	return fmt.Errorf("interface %s is not isolated: nftables table %s was removed or changed", t.o.Interface, isolate.TableName(t.o.Interface))
}

func (t *tunnel) writeRules() error { return notPossible(t.isolation.Write(t.link.Attrs().Index)) }

// notPossible marks what a host without a packet filter lacks.
func notPossible(err error) error {
	if errors.Is(err, isolate.ErrNoFilter) {
		return fmt.Errorf("%w: %w", errNotPossible, err)
	}
	return err
}

// guard ends a gap.
func (t *tunnel) guard() (restored bool, err error) {
	if t.o.Guest {
		return false, nil
	}
	if !t.isolated() {
		restored, err = true, t.writeRules()
		t.isolation.GapEnds()
	}
	if err != nil {
		return restored, oneline.Join(err, t.cutOff())
	}
	if t.cut {
		if err := t.up(); err != nil {
			return restored, err
		}
		t.cut = false
	}
	t.sweep()
	return restored, nil
}

// cutOff takes the interface down.
func (t *tunnel) cutOff() error {
	t.cut = true
	if err := t.nl.LinkSetDown(t.link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("guests may reach this host, and interface %s cannot be taken down: stop the gateway, and remove the interface: %w", t.o.Interface, err)
	}
	return nil
}

// sweep ends what guests may have begun in a gap. If it fails, the tunnel stays in
// use: the rules are in force.
func (t *tunnel) sweep() {
	ended, err := t.isolation.Sweep(t.link.Attrs().Index)
	if ended > 0 {
		t.o.Log.Warn("connections that guests made while the tunnel was not isolated were ended", "interface", t.o.Interface, "connections", ended)
	}
	if err != nil {
		t.o.Log.Error("connections that guests made while the tunnel was not isolated may still be open: look for them (ss -tn) and end them",
			"interface", t.o.Interface, "network", t.o.Address.Masked().String(), "error", err.Error())
	}
}

// closeIngress keeps an interface that outlives its gateway closed after it was killed.
func (t *tunnel) closeIngress() error {
	if t.o.Guest || !t.maker.outlives {
		return nil
	}
	if err := isolate.CloseIngress(t.nl, t.link.Attrs().Index); err != nil {
		t.o.Log.Warn("if the gateway is killed, only the packet filter isolates the tunnel until the next run: the kernel lacks what the interface needs to isolate itself (modprobe -a sch_ingress cls_u32 act_gact)",
			"interface", t.o.Interface, "error", err.Error())
	}
	return nil
}

// watchRules calls changed after each change of the table, until ctx ends.
func (t *tunnel) watchRules(ctx context.Context, changed func()) error {
	if t.o.Guest || t.isolation.Owned() {
		return nil
	}
	if err := t.isolation.Watch(ctx, changed); err != nil {
		return fmt.Errorf("wg: %w", err)
	}
	return nil
}

func isUp(link netlink.Link) bool { return link.Attrs().Flags&net.FlagUp != 0 }
