package wg

import (
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A kernel interface stays up when its gateway is killed, and then nobody guards its
// table: one "flush ruleset", and guests reach the host until the next run. So the
// interface itself refuses what can begin anything, by a filter of its own (tc, clsact),
// which nothing but its end takes away. It knows less than the table, which is the
// isolation while a gateway runs: what is not the beginning of an IPv4 header
// without options, or a fragment, is dropped too. A gateway's guests send neither:
// their TCP segments fit into the tunnel.

// closeIngress is best before the interface is up.
func (t *tunnel) closeIngress() error {
	if t.o.Guest || !t.maker.outlives {
		return nil
	}
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: t.link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	_ = t.nl.QdiscDel(clsact) // of an earlier run
	err := t.nl.QdiscAdd(clsact)
	for _, f := range ingressFilters(t.link.Attrs().Index) {
		if err == nil {
			err = t.nl.FilterAdd(f)
		}
	}
	if err != nil {
		_ = t.nl.QdiscDel(clsact)
		t.o.Log.Warn("if the gateway is killed, the packet filter alone isolates the tunnel until the next run: the kernel lacks what the interface needs to do so itself (modprobe -a sch_ingress cls_u32 act_gact)",
			"interface", t.o.Interface, "error", err.Error())
	}
	return nil
}

// ingressFilters are what may come in, and then the end.
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
	for _, kind := range []uint32{0, 3, 11, 12} { // as replies has them
		add(first, unix.ETH_P_IP, append(whole(unix.IPPROTO_ICMP), nl.TcU32Key{Off: 20, Mask: 0xff << 24, Val: kind << 24}))
	}
	drop := &netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_SHOT}}
	add(last, unix.ETH_P_ALL, nil, drop)
	return all
}

// whole matches an IPv4 packet of a protocol that is no fragment and whose header
// has no options.
func whole(protocol uint32) []nl.TcU32Key {
	return []nl.TcU32Key{
		{Off: 0, Mask: 0xff << 24, Val: 0x45 << 24},
		{Off: 4, Mask: 0x3fff, Val: 0},
		{Off: 8, Mask: 0xff << 16, Val: protocol << 16},
	}
}
