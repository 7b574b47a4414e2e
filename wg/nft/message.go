package nft

import (
	"encoding/binary"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sallyport/wg/kernel"
)

// The encoding of nf_tables: attributes with numbers in network order, and texts that
// end in zero (linux/netfilter/nf_tables.h).

// inTable makes a message about tables of the family inet or their contents.
func inTable(kind, flags uint16, attrs ...netlink.Attribute) (kernel.Message, error) {
	data, err := netlink.MarshalAttributes(attrs)
	return kernel.Message{
		Kind: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: flags,
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, data...),
	}, err
}

func text(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

func integer(kind uint16, n uint32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, n)}
}

// batch collects the messages of a transaction. It keeps the first error.
type batch struct {
	messages []kernel.Message
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

// attributes are the attributes of an answer. A missing one reads as zero.
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

// TableOf returns the name of the table that a notification is about: tables,
// chains and rules all have it as their first attribute.
func TableOf(m netlink.Message) string { return attributesOf(m.Data).text(unix.NFTA_TABLE_NAME) }
