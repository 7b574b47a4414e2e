package wg

import (
	"errors"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// filter opens one on this host.
func (h *host) filter() (f *filter) {
	h.t.Helper()
	h.do(func() {
		inside, err := currentNamespace()
		must(h.t, err)
		defer func() { must(h.t, inside.close()) }()
		f, err = openFilter(inside)
		must(h.t, err)
	})
	h.t.Cleanup(func() { must(h.t, f.close()) })
	return f
}

// A kernel without nf_tables answers a whole transaction by one error, and so it
// does for a part that it does not have.
func TestWhatTheKernelDoesNotKnowIsAnErrorAtOnce(t *testing.T) {
	const noSuchPart = unix.NFNL_SUBSYS_COUNT - 1
	f := newHost(t).filter()
	begin := message{kind: unix.NFNL_MSG_BATCH_BEGIN, data: []byte{0, 0, 0, noSuchPart}}
	end := message{kind: unix.NFNL_MSG_BATCH_END, data: begin.data}
	in := message{kind: noSuchPart << 8, flags: unix.NLM_F_ACK, data: make([]byte, 4)}
	if _, err := f.socket.ask(begin, in, in, in, end); err == nil {
		t.Error("a transaction of a part that is not there went well")
	}
	if _, err := f.socket.ask(message{kind: noSuchPart << 8, flags: unix.NLM_F_DUMP, data: make([]byte, 4)}); err == nil {
		t.Error("a list of a part that is not there")
	}
	if _, err := f.socket.ask(message{kind: unix.NLMSG_NOOP}); !errors.Is(err, errNoAnswer) {
		t.Errorf("no answer: %v", err)
	}
}

// What a failed transaction left to read is no answer to the next question.
func TestFailedTransactionLeavesNothingBehind(t *testing.T) {
	f := newHost(t).filter()
	lost := table{name: "lost", chains: []chain{{name: "a", rules: [][]expr.Any{
		{&expr.Verdict{Kind: expr.VerdictGoto, Chain: "nowhere"}}, {&expr.Verdict{Kind: expr.VerdictGoto, Chain: "nowhere"}}, accept(),
	}}}}
	if err := f.replace(lost); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a rule that leads nowhere: %v", err)
	}
	if f.holds(lost) {
		t.Error("half a transaction is in force")
	}
	kept := table{name: "kept", chains: []chain{{name: "a", rules: [][]expr.Any{accept(), drop()}}}}
	for range 2 {
		must(t, f.replace(kept))
		if !f.holds(kept) {
			t.Error("the table is not there")
		}
	}
	must(t, f.remove("kept"))
	must(t, f.remove("kept"))
	if f.holds(kept) {
		t.Error("the table is still there")
	}
}

func TestTableThatSomebodyChangedIsNoticed(t *testing.T) {
	h := newHost(t)
	f := h.filter()
	want := table{name: "x", chains: []chain{
		{name: "input", hook: nftables.ChainHookInput, rules: [][]expr.Any{accept(), drop()}}, {name: "other", rules: [][]expr.Any{drop()}},
	}}
	there := &nftables.Table{Name: "x", Family: nftables.TableFamilyINet}
	for name, change := range map[string]func(*nftables.Conn){
		"the table is gone": func(c *nftables.Conn) { c.DelTable(there) },
		"flush ruleset":     func(c *nftables.Conn) { c.FlushRuleset() },
		"a chain is empty":  func(c *nftables.Conn) { c.FlushChain(&nftables.Chain{Name: "other", Table: there}) },
		"all chains are":    func(c *nftables.Conn) { c.FlushTable(there) },
		"a rule more": func(c *nftables.Conn) {
			c.InsertRule(&nftables.Rule{Table: there, Chain: &nftables.Chain{Name: "input", Table: there}, Exprs: accept()})
		},
		"a chain with a rule": func(c *nftables.Conn) {
			more := c.AddChain(&nftables.Chain{Name: "more", Table: there, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFirst, Type: nftables.ChainTypeFilter})
			c.AddRule(&nftables.Rule{Table: there, Chain: more, Exprs: accept()})
		},
	} {
		must(t, f.replace(want))
		if !f.holds(want) {
			t.Fatal("just written, and not there")
		}
		h.nft(change)
		if f.holds(want) {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// nft has another program on this host change the packet filter.
func (h *host) nft(change func(*nftables.Conn)) {
	h.t.Helper()
	h.do(func() {
		c, err := nftables.New()
		must(h.t, err)
		change(c)
		must(h.t, c.Flush())
	})
}
