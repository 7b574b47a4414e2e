package wg

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sallyport/wg/kernel"
)

// watches report changes of what restore repairs, so that the tunnel is whole again
// within milliseconds.
func (t *tunnel) watches() []watch { return []watch{t.watchLink, t.watchRules} }

// watchLink calls changed after changes of the interface, its addresses and its
// routes, until ctx ends.
func (t *tunnel) watchLink(ctx context.Context, changed func()) error {
	err := kernel.Hear(ctx, t.inside, kernel.Subject{
		Protocol: unix.NETLINK_ROUTE,
		Groups:   []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV4_ROUTE},
		Concerns: func(n syscall.NetlinkMessage) bool {
			// While there is no interface, any that goes may have been in its way.
			index, ours := interfaceOf(n), t.watched.Load()
			return index != 0 && (index == ours || ours == 0)
		},
	}, changed)
	if err != nil {
		return fmt.Errorf("wg: listen for changes of interfaces: %w", err)
	}
	return nil
}

// interfaceOf returns the index of the interface that a notification is about, or 0.
func interfaceOf(m syscall.NetlinkMessage) int32 {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m.Data) < 8 {
			return 0
		}
		return int32(binary.NativeEndian.Uint32(m.Data[4:])) // ifi_index of struct ifinfomsg, ifa_index of struct ifaddrmsg
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return outputOf(m.Data)
	}
	return 0
}

// outputOf returns the index of a route's interface, or 0 if it has none or several.
func outputOf(data []byte) int32 {
	if len(data) < unix.SizeofRtMsg {
		return 0
	}
	attrs, err := nl.ParseRouteAttrAsMap(data[unix.SizeofRtMsg:])
	index := attrs[unix.RTA_OIF].Value
	if err != nil || len(index) != 4 {
		return 0
	}
	return int32(binary.NativeEndian.Uint32(index))
}
