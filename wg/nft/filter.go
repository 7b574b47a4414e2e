package nft

import (
	"errors"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
	"sallyport/wg/kernel"
)

// A Filter is a conversation with the packet filter of one network namespace. It
// must not be used concurrently.
type Filter struct{ socket *kernel.Socket }

// Table is a table as it is to be.
type Table struct {
	Name   string
	Flags  Flags
	Chains []Chain
}

// Chain is one chain of a table.
type Chain struct {
	Name  string
	Hook  *nftables.ChainHook // nil: only other chains lead here
	Rules [][]expr.Any
}

// Flags are enum nft_table_flags of linux/netfilter/nf_tables.h.
type Flags uint32

const (
	// Owned tables can be changed only through the socket that made them: "flush
	// ruleset" of other programs spares them. They go with the socket. Linux 5.12.
	Owned Flags = 2
	// Persistent tables that are owned stay when their owner goes, and then belong
	// to nobody. Linux 6.9.
	Persistent Flags = 4
)

// Open opens a conversation. It fails if the kernel has no tables for IPv4 and
// IPv6 together.
func Open(inside *kernel.Namespace) (*Filter, error) {
	s, err := kernel.Open(inside, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	f := &Filter{socket: s}
	if _, _, err := f.find(""); err != nil {
		return nil, oneline.Join(err, f.Close())
	}
	return f, nil
}

// Close ends the conversation, and with it the tables that it owns.
func (f *Filter) Close() error { return f.socket.Close() }

// Replace writes t in place of the table of its name, if there is one, in one
// transaction: there is no moment without rules.
func (f *Filter) Replace(t Table) error {
	all, err := f.removal(t.Name)
	if err != nil {
		return err
	}
	made, err := t.messages()
	if err != nil {
		return err
	}
	return f.commit(append(all, made...))
}

// Remove removes a table, if it exists.
func (f *Filter) Remove(name string) error {
	all, err := f.removal(name)
	if err != nil || len(all) == 0 {
		return err
	}
	return f.commit(all)
}

func (f *Filter) removal(name string) ([]kernel.Message, error) {
	_, there, err := f.find(name)
	if err != nil || !there {
		return nil, err
	}
	return []kernel.Message{inTable(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, name))}, nil
}

// commit sends a transaction. Only its last message asks for an acknowledgement:
// the kernel reports errors in any case.
func (f *Filter) commit(all []kernel.Message) error {
	all[len(all)-1].Flags |= unix.NLM_F_ACK
	frame := func(kind uint16) kernel.Message {
		return kernel.Message{Kind: kind, Data: []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES}}
	}
	all = append([]kernel.Message{frame(unix.NFNL_MSG_BATCH_BEGIN)}, all...)
	_, err := f.socket.Ask(append(all, frame(unix.NFNL_MSG_BATCH_END))...)
	return err
}

// Holds reports whether a table like t exists: with its flags, its chains, and the
// same number of rules in each. A table that cannot be read counts as missing.
func (f *Filter) Holds(t Table) bool {
	flags, there, err := f.find(t.Name)
	if err != nil || !there || flags != t.Flags {
		return false
	}
	rules, err := f.list(unix.NFT_MSG_GETRULE, text(unix.NFTA_RULE_TABLE, t.Name))
	if err != nil {
		return false
	}
	found := make(map[string]int)
	for _, r := range rules {
		if r.text(unix.NFTA_RULE_TABLE) == t.Name {
			found[r.text(unix.NFTA_RULE_CHAIN)]++
		}
	}
	for _, c := range t.Chains {
		if found[c.Name] != len(c.Rules) {
			return false
		}
		delete(found, c.Name)
	}
	return len(found) == 0
}

// IsOwned reports whether the table exists and has an owner.
func (f *Filter) IsOwned(name string) bool {
	flags, there, err := f.find(name)
	return err == nil && there && flags&Owned != 0
}

// find looks for a table.
func (f *Filter) find(name string) (flags Flags, there bool, err error) {
	tables, err := f.list(unix.NFT_MSG_GETTABLE)
	for _, a := range tables {
		if a.text(unix.NFTA_TABLE_NAME) == name {
			return Flags(a.number(unix.NFTA_TABLE_FLAGS)), true, err
		}
	}
	return 0, false, err
}

// list returns the objects of a kind that have these attributes.
func (f *Filter) list(kind uint16, attrs ...*nl.RtAttr) (found []attributes, err error) {
	answers, err := f.socket.Ask(inTable(kind, unix.NLM_F_DUMP, attrs...))
	for _, a := range answers {
		found = append(found, attributesOf(a.Data))
	}
	return found, err
}

// messages returns the messages that make the table.
func (t Table) messages() (all []kernel.Message, err error) {
	add := func(kind, flags uint16, attrs ...*nl.RtAttr) { all = append(all, inTable(kind, flags, attrs...)) }
	add(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, text(unix.NFTA_TABLE_NAME, t.Name), integer(unix.NFTA_TABLE_FLAGS, uint32(t.Flags)))
	for _, c := range t.Chains {
		attrs := []*nl.RtAttr{text(unix.NFTA_CHAIN_TABLE, t.Name), text(unix.NFTA_CHAIN_NAME, c.Name)}
		if c.Hook != nil {
			attrs = append(attrs, text(unix.NFTA_CHAIN_TYPE, string(nftables.ChainTypeFilter)),
				nested(unix.NFTA_CHAIN_HOOK, integer(unix.NFTA_HOOK_HOOKNUM, uint32(*c.Hook)), integer(unix.NFTA_HOOK_PRIORITY, 0)))
		}
		add(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, attrs...)
	}
	for _, c := range t.Chains {
		for _, rule := range c.Rules {
			list, err := expressions(rule)
			if err != nil {
				return nil, err
			}
			add(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, text(unix.NFTA_RULE_TABLE, t.Name), text(unix.NFTA_RULE_CHAIN, c.Name),
				nested(unix.NFTA_RULE_EXPRESSIONS, list...))
		}
	}
	return all, nil
}

// UnknownFlags reports whether err may be the answer of a kernel that does not know
// a table's flags.
func UnknownFlags(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP)
}
