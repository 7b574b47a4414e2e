package nft

import (
	"encoding/binary"
	"syscall"

	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sallyport/wg/kernel"
)

// The encoding of nf_tables: attributes with numbers in network order, and texts that
// end in zero (linux/netfilter/nf_tables.h).

// inTable returns a message about tables of the family inet or their contents.
func inTable(kind, flags uint16, attrs ...*nl.RtAttr) kernel.Message {
	data := []byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}
	for _, a := range attrs {
		data = append(data, a.Serialize()...)
	}
	return kernel.Message{Kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: flags, Data: data}
}

func text(kind int, s string) *nl.RtAttr { return nl.NewRtAttr(kind, nl.ZeroTerminated(s)) }

func integer(kind int, n uint32) *nl.RtAttr { return nl.NewRtAttr(kind, nl.BEUint32Attr(n)) }

func nested(kind int, attrs ...*nl.RtAttr) *nl.RtAttr {
	outer := nl.NewRtAttr(unix.NLA_F_NESTED|kind, nil)
	for _, a := range attrs {
		outer.AddChild(a)
	}
	return outer
}

func expressions(rule []expr.Any) ([]*nl.RtAttr, error) {
	list := make([]*nl.RtAttr, len(rule))
	for i, e := range rule {
		data, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, err
		}
		list[i] = nl.NewRtAttr(unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, data)
	}
	return list, nil
}

// attributes are the attributes of an answer. A missing one reads as zero.
type attributes map[uint16]syscall.NetlinkRouteAttr

func attributesOf(answer []byte) attributes {
	const header = 4 // struct nfgenmsg
	if len(answer) < header {
		return nil
	}
	a, err := nl.ParseRouteAttrAsMap(answer[header:])
	if err != nil {
		return nil
	}
	return a
}

func (a attributes) text(kind uint16) string {
	if b := a[kind].Value; len(b) > 0 {
		return string(b[:len(b)-1])
	}
	return ""
}

func (a attributes) number(kind uint16) uint32 {
	if b := a[kind].Value; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// TableOf returns the name of the table that a notification is about: tables,
// chains and rules all have it as their first attribute.
func TableOf(m syscall.NetlinkMessage) string {
	return attributesOf(m.Data).text(unix.NFTA_TABLE_NAME)
}
