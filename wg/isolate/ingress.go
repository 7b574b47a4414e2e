package isolate

import (
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// CloseIngress makes an interface itself refuse packets that can begin anything, by
// a filter of its own (tc, clsact) that only the end of the interface removes. It is
// best called before the interface is up.
//
// A kernel interface stays up when its gateway is killed, and then nobody guards its
// table: after one "flush ruleset" guests would reach the host until the next run.
// The filter knows less than the table, which is the isolation while a gateway runs:
// it also drops everything but IPv4 headers without options, and fragments. A
// gateway's guests send neither: their TCP segments fit into the tunnel.
func CloseIngress(handle *netlink.Handle, index int) error {
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	_ = handle.QdiscDel(clsact) // of an earlier run
	err := handle.QdiscAdd(clsact)
	for _, f := range ingressFilters(index) {
		if err == nil {
			err = handle.FilterAdd(f)
		}
	}
	if err != nil {
		_ = handle.QdiscDel(clsact)
	}
	return err
}

// ingressFilters accept what may come in, and then drop the rest.
func ingressFilters(index int) []netlink.Filter {
	const (
		first, last = 1, 2
		ack, rst    = 0x10, 0x04
	)
	var all []netlink.Filter
	add := func(priority, protocol uint16, keys []nl.TcU32Key, actions ...netlink.Action) {
		f := &netlink.U32{
			FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: priority, Protocol: protocol},
			Actions:     actions,
		}
		if keys != nil {
			f.Sel = &nl.TcU32Sel{Flags: nl.TC_U32_TERMINAL, Keys: keys}
		}
		all = append(all, f)
	}
	for _, flag := range []uint32{ack, rst} {
		add(first, unix.ETH_P_IP, append(whole(unix.IPPROTO_TCP), nl.TcU32Key{Off: 20 + 12, Mask: flag << 16, Val: flag << 16}))
	}
	for _, kind := range []uint32{0, 3, 11, 12} { // the kinds that replies matches
		add(first, unix.ETH_P_IP, append(whole(unix.IPPROTO_ICMP), nl.TcU32Key{Off: 20, Mask: 0xff << 24, Val: kind << 24}))
	}
	drop := &netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_SHOT}}
	add(last, unix.ETH_P_ALL, nil, drop)
	return all
}

// whole matches an IPv4 packet of a protocol, if it is not a fragment and its header
// has no options.
func whole(protocol uint32) []nl.TcU32Key {
	return []nl.TcU32Key{
		{Off: 0, Mask: 0xff << 24, Val: 0x45 << 24},
		{Off: 4, Mask: 0x3fff, Val: 0},
		{Off: 8, Mask: 0xff << 16, Val: protocol << 16},
	}
}
