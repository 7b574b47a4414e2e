package wg

import (
	"encoding/binary"
	"slices"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestNotificationNamesTheInterfaceThatItIsAbout(t *testing.T) {
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	attr := func(kind int, data []byte) []byte { return nl.NewRtAttr(kind, data).Serialize() }
	route := make([]byte, unix.SizeofRtMsg)
	for _, tt := range []struct {
		name string
		kind uint16
		data []byte
		want int32
	}{
		{"Link", unix.RTM_NEWLINK, slices.Concat(number(0), number(7), number(0), number(0)), 7},
		{"Address", unix.RTM_DELADDR, slices.Concat(number(0), number(7)), 7},
		{"CutLink", unix.RTM_DELLINK, make([]byte, 7), 0},
		{"Route", unix.RTM_NEWROUTE, slices.Concat(route, attr(unix.RTA_TABLE, number(254)), attr(unix.RTA_OIF, number(7))), 7},
		{"RouteWithoutInterface", unix.RTM_DELROUTE, slices.Concat(route, attr(unix.RTA_TABLE, number(254))), 0},
		{"RouteWithShortIndex", unix.RTM_NEWROUTE, slices.Concat(route, attr(unix.RTA_OIF, []byte{7})), 0},
		{"RouteWithCutAttribute", unix.RTM_NEWROUTE, slices.Concat(route, attr(unix.RTA_OIF, number(7))[:6]), 0},
		{"CutRoute", unix.RTM_NEWROUTE, route[:5], 0},
		{"Neighbour", unix.RTM_NEWNEIGH, slices.Concat(number(0), number(7)), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: tt.kind}, Data: tt.data}
			if got := interfaceOf(m); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
