package wg

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// watches hear of what restore looks after, so that the tunnel is whole again within
// milliseconds.
func (t *tunnel) watches() []watch { return []watch{t.watchLink, t.watchRules} }

// watchLink hears of the interface, its addresses and routes.
func (t *tunnel) watchLink(ctx context.Context, changed func()) error {
	var socket *netlink.Conn
	err := t.inside.do(func() (err error) {
		socket, err = netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE})
		return err
	})
	if err != nil {
		return fmt.Errorf("wg: listen for changes of interfaces: %w", err)
	}
	defer func() { _ = socket.Close() }()
	defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
	changed() // what came before was not heard
	err = hear(ctx, socket, changed, func(n netlink.Message) bool {
		// While there is no interface, any that goes may have been in its way.
		index, ours := interfaceOf(n), t.watched.Load()
		return index != 0 && (index == ours || ours == 0)
	})
	if err != nil {
		return fmt.Errorf("wg: changes of interfaces: %w", err)
	}
	return nil
}

// interfaceOf is the index of the interface that a notification is about; 0: none.
func interfaceOf(m netlink.Message) int32 {
	switch uint16(m.Header.Type) {
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

// outputOf is a route's interface; 0 if it has none or several.
func outputOf(data []byte) (index int32) {
	if len(data) < unix.SizeofRtMsg {
		return 0
	}
	attrs, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return 0
	}
	for attrs.Next() {
		if attrs.Type() == unix.RTA_OIF {
			index = attrs.Int32()
		}
	}
	return index
}
