package wg

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// filter is the conversation with the kernel's packet filter about whole tables of
// the family inet. The expressions of rules are google/nftables'; its conversation
// is not, because it can neither own a table nor replace one that somebody owns,
// and waits for ever where the kernel answers a transaction by one error.
type filter struct{ socket *kernelSocket }

// table is what one of nf_tables is to have.
type table struct {
	name   string
	flags  tableFlags
	chains []chain
}

type chain struct {
	name  string
	hook  *nftables.ChainHook // nil: other chains lead here
	rules [][]expr.Any
}

// tableFlags are enum nft_table_flags of linux/netfilter/nf_tables.h.
type tableFlags uint32

const (
	// owned: only the socket that has made the table can change it; no "flush
	// ruleset" of others takes it. It goes with the socket. Linux 5.12.
	owned tableFlags = 2
	// persistent: an owned table stays when its owner goes, and belongs to nobody
	// then. Linux 6.9.
	persistent tableFlags = 4
)

// openFilter finds out first whether the kernel has tables for IPv4 and IPv6
// together.
func openFilter(inside *namespace) (*filter, error) {
	s, err := openKernelSocket(inside, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	f := &filter{socket: s}
	if _, _, err := f.find(""); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *filter) close() error { return f.socket.close() }

// replace puts t in the place of a table of its name, if there is one, in one
// transaction: there is no moment without rules.
func (f *filter) replace(t table) error {
	all, err := f.removal(t.name)
	if err != nil {
		return err
	}
	made, err := t.messages()
	if err != nil {
		return err
	}
	return f.commit(append(all, made...))
}

// remove takes a table away. It is no error if there is none.
func (f *filter) remove(name string) error {
	all, err := f.removal(name)
	if err != nil || len(all) == 0 {
		return err
	}
	return f.commit(all)
}

func (f *filter) removal(name string) ([]message, error) {
	_, there, err := f.find(name)
	if err != nil || !there {
		return nil, err
	}
	var b batch
	b.add(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, name))
	return b.messages, b.failed
}

// commit sends a transaction. Only its last message asks for an acknowledgement:
// the kernel tells errors in any case.
func (f *filter) commit(all []message) error {
	all[len(all)-1].flags |= unix.NLM_F_ACK
	frame := func(kind uint16) message {
		return message{kind: kind, data: []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}}
	}
	all = append([]message{frame(unix.NFNL_MSG_BATCH_BEGIN)}, all...)
	_, err := f.socket.ask(append(all, frame(unix.NFNL_MSG_BATCH_END))...)
	return err
}

// holds reports whether a table is there as t is: its flags, its chains, and as
// many rules in each. What cannot be read is not there.
func (f *filter) holds(t table) bool {
	flags, there, err := f.find(t.name)
	if err != nil || !there || flags != t.flags {
		return false
	}
	rules, err := f.list(unix.NFT_MSG_GETRULE, text(unix.NFTA_RULE_TABLE, t.name))
	if err != nil {
		return false
	}
	found := make(map[string]int)
	for _, r := range rules {
		if r.text(unix.NFTA_RULE_TABLE) == t.name {
			found[r.text(unix.NFTA_RULE_CHAIN)]++
		}
	}
	for _, c := range t.chains {
		if found[c.name] != len(c.rules) {
			return false
		}
		delete(found, c.name)
	}
	return len(found) == 0
}

// isOwned reports whether there is a table that belongs to somebody.
func (f *filter) isOwned(name string) bool {
	flags, there, err := f.find(name)
	return err == nil && there && flags&owned != 0
}

// find looks for a table.
func (f *filter) find(name string) (flags tableFlags, there bool, err error) {
	tables, err := f.list(unix.NFT_MSG_GETTABLE)
	for _, a := range tables {
		if a.text(unix.NFTA_TABLE_NAME) == name {
			return tableFlags(a.number(unix.NFTA_TABLE_FLAGS)), true, err
		}
	}
	return 0, false, err
}

// list asks for all objects of a kind that have these attributes.
func (f *filter) list(kind uint16, attrs ...netlink.Attribute) (found []attributes, err error) {
	m, err := inTable(kind, unix.NLM_F_DUMP, attrs...)
	if err != nil {
		return nil, err
	}
	answers, err := f.socket.ask(m)
	for _, a := range answers {
		found = append(found, attributesOf(a.Data))
	}
	return found, err
}

// messages make the table.
func (t table) messages() ([]message, error) {
	var b batch
	b.add(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, text(unix.NFTA_TABLE_NAME, t.name), integer(unix.NFTA_TABLE_FLAGS, uint32(t.flags)))
	for _, c := range t.chains {
		attrs := []netlink.Attribute{text(unix.NFTA_CHAIN_TABLE, t.name), text(unix.NFTA_CHAIN_NAME, c.name)}
		if c.hook != nil {
			attrs = append(attrs, text(unix.NFTA_CHAIN_TYPE, string(nftables.ChainTypeFilter)),
				b.nested(unix.NFTA_CHAIN_HOOK, integer(unix.NFTA_HOOK_HOOKNUM, uint32(*c.hook)), integer(unix.NFTA_HOOK_PRIORITY, 0)))
		}
		b.add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, attrs...)
	}
	for _, c := range t.chains {
		for _, rule := range c.rules {
			b.add(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, text(unix.NFTA_RULE_TABLE, t.name), text(unix.NFTA_RULE_CHAIN, c.name),
				b.nested(unix.NFTA_RULE_EXPRESSIONS, b.expressions(rule)...))
		}
	}
	return b.messages, b.failed
}

// noFilter says what is missing.
func noFilter(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: no packet filter to isolate the tunnel with: CAP_NET_ADMIN is missing; mode netstack isolates without: %w", errNotPossible, err)
	default:
		return fmt.Errorf("%w: no packet filter to isolate the tunnel with: the kernel has no nf_tables (modprobe nf_tables; CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET); mode netstack isolates without: %w", errNotPossible, err)
	}
}
