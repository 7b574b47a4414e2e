package wg

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/isolate"
	"sallyport/wg/userspace"
)

// The interface is the host's as much as the gateway's. An administrator deletes or
// renames it, systemd-networkd with Name=* flushes its address, another VPN sets it
// down. Sockets that are bound to it send nothing elsewhere meanwhile (way.go); here
// it is made again what it was. One that is gone is made with the same index, so
// that those sockets, and the streams on them, go on.

var errGone = errors.New("the interface is gone")

// restored is what restore had to do.
type restored struct {
	what []string // for the log
	made bool     // the interface is new, or another's: it may have none of the peers
}

// restore puts back what is missing. Rules come before the link is up.
func (t *tunnel) restore() (r restored, err error) {
	link, err := t.current()
	if err != nil {
		return r, err
	}
	if link == nil {
		if err := t.rebuild(); err != nil {
			return r, fmt.Errorf("create interface %s again: %w", t.o.Interface, err)
		}
		return restored{what: []string{"interface"}, made: true}, nil
	}
	for _, part := range []struct {
		what string
		put  func(netlink.Link) (bool, error)
	}{
		{"name", t.restoreName},
		{"nftables table " + isolate.TableName(t.o.Interface) + " (reload the firewall without flush ruleset)", func(netlink.Link) (bool, error) { return t.guard() }},
		{"address", t.restoreAddress},
		{"link", t.restoreUp},
		{"route", t.restoreRoute},
		{"socket in " + userspace.SocketDir, t.restoreSocket},
	} {
		done, err := part.put(link)
		if err != nil {
			return r, err
		}
		if done {
			r.what = append(r.what, part.what)
		}
	}
	return r, nil
}

// current is our interface as it is now; nil: it is gone.
func (t *tunnel) current() (netlink.Link, error) {
	if t.link == nil {
		return nil, nil
	}
	link, err := t.nl.LinkByIndex(t.link.Attrs().Index)
	if _, gone := errors.AsType[netlink.LinkNotFoundError](err); gone || err == nil && link.Type() != t.link.Type() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for interface %s: %w", t.o.Interface, err)
	}
	return link, nil
}

// rebuild makes the interface again after it is gone. What is left of the one before (a
// device in this process, its socket) goes first.
func (t *tunnel) rebuild() error {
	if t.link != nil {
		t.index = t.link.Attrs().Index
	}
	left := t.unmake()
	err := t.inside.Do(func() error { return t.build(t.index) })
	if err != nil {
		return oneline.Join(err, left, t.unmake())
	}
	t.cut = false
	return nil
}

// restoreName takes the interface down only if the kernel cannot rename it else
// (before Linux 6.2): the sessions of its peers end with that.
func (t *tunnel) restoreName(link netlink.Link) (bool, error) {
	name := link.Attrs().Name
	if name == t.o.Interface {
		return false, nil
	}
	err := t.nl.LinkSetName(link, t.o.Interface)
	if errors.Is(err, unix.EBUSY) {
		if err = t.nl.LinkSetDown(link); err == nil {
			err = t.nl.LinkSetName(link, t.o.Interface)
		}
	}
	if err != nil {
		return false, fmt.Errorf("interface %s was renamed to %s; rename it back: %w", t.o.Interface, name, err)
	}
	return true, nil
}

func (t *tunnel) restoreAddress(link netlink.Link) (bool, error) {
	addrs, err := t.addresses(link)
	if err != nil {
		return false, err
	}
	if hasPrefix(addrs, t.o.Address) {
		return false, nil
	}
	return true, t.setAddress()
}

func (t *tunnel) restoreUp(netlink.Link) (bool, error) {
	link, err := t.current() // its name may have been restored, which takes it down
	if err != nil || link == nil || link.Attrs().Flags&net.FlagUp != 0 {
		return false, err
	}
	return true, t.portError(t.nl.LinkSetUp(link))
}

// restoreRoute puts back what came with the address.
func (t *tunnel) restoreRoute(link netlink.Link) (bool, error) {
	if t.hasRoute(link) == nil {
		return false, nil
	}
	err := t.nl.RouteReplace(&netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(t.o.Address.Masked()), Src: t.o.Address.Addr().AsSlice(),
		Scope: netlink.SCOPE_LINK, Protocol: unix.RTPROT_KERNEL,
	})
	if err != nil {
		return false, fmt.Errorf("set route %s: %w", t.o.Address.Masked(), err)
	}
	return true, nil
}
