package wg

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// How nf_tables spells what filter.go says: attributes with numbers in network order and texts
// that end in zero (linux/netfilter/nf_tables.h).

// inTable is a message about tables of the family inet, or what is in one.
func inTable(kind, flags uint16, attrs ...netlink.Attribute) (message, error) {
	data, err := netlink.MarshalAttributes(attrs)
	return message{
		kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, flags: flags,
		data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	}, err
}

func text(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

func integer(kind uint16, n uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, n)}
}

// batch collects messages that make something. It keeps the first error.
type batch struct {
	messages []message
	failed   error
}

func (b *batch) add(kind, flags uint16, attrs ...netlink.Attribute) {
	m, err := inTable(kind, flags, attrs...)
	b.keep(err)
	b.messages = append(b.messages, m)
}

func (b *batch) nested(kind uint16, attrs ...netlink.Attribute) netlink.Attribute {
	data, err := netlink.MarshalAttributes(attrs)
	b.keep(err)
	return netlink.Attribute{Type: unix.NLA_F_NESTED | kind, Data: data}
}

func (b *batch) expressions(rule []expr.Any) (list []netlink.Attribute) {
	for _, e := range rule {
		data, err := expr.Marshal(unix.NFPROTO_INET, e)
		b.keep(err)
		list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
	}
	return list
}

func (b *batch) keep(err error) {
	if b.failed == nil {
		b.failed = err
	}
}

// attributes are those of an answer; what it does not have reads as zero.
type attributes map[uint16][]byte

func attributesOf(answer []byte) attributes {
	const header = 4 // struct nfgenmsg
	a := make(attributes)
	if len(answer) < header {
		return a
	}
	list, err := netlink.UnmarshalAttributes(answer[header:])
	if err != nil {
		return a
	}
	for _, attr := range list {
		a[attr.Type] = attr.Data
	}
	return a
}

func (a attributes) text(kind uint16) string {
	if b := a[kind]; len(b) > 0 {
		return string(b[:len(b)-1])
	}
	return ""
}

func (a attributes) number(kind uint16) uint32 {
	if b := a[kind]; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
