package nft

import (
	"errors"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sallyport/internal/gwtest"
	"sallyport/wg/kernel"
)

func newHost(t *testing.T) *gwtest.Host {
	t.Helper()
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	return gwtest.NewHost(t, "host")
}

// open opens a filter of this host.
func open(t *testing.T, h *gwtest.Host) (f *Filter) {
	t.Helper()
	must(t, h.Do(func() error {
		inside, err := kernel.Current()
		if err != nil {
			return err
		}
		if f, err = Open(inside); err != nil {
			return errors.Join(err, inside.Close())
		}
		return inside.Close()
	}))
	return f
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func drop() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}} }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The answers that a failed transaction left unread are not taken for the next one.
func TestFailedTransactionLeavesNothingBehind(t *testing.T) {
	f := open(t, newHost(t))
	defer func() { must(t, f.Close()) }()
	lost := Table{Name: "lost", Chains: []Chain{{Name: "a", Rules: [][]expr.Any{
		{&expr.Verdict{Kind: expr.VerdictGoto, Chain: "nowhere"}}, {&expr.Verdict{Kind: expr.VerdictGoto, Chain: "nowhere"}}, accept(),
	}}}}
	if err := f.Replace(lost); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a rule that leads nowhere: %v", err)
	}
	if f.Holds(lost) {
		t.Error("half a transaction is in force")
	}
	kept := Table{Name: "kept", Chains: []Chain{{Name: "a", Rules: [][]expr.Any{accept(), drop()}}}}
	for range 2 {
		must(t, f.Replace(kept))
		if !f.Holds(kept) {
			t.Error("the table is missing")
		}
	}
	must(t, f.Remove("kept"))
	must(t, f.Remove("kept"))
	if f.Holds(kept) {
		t.Error("the table still exists")
	}
}

func TestTableThatWasChangedIsNoticed(t *testing.T) {
	h := newHost(t)
	f := open(t, h)
	defer func() { must(t, f.Close()) }()
	want := Table{Name: "x", Chains: []Chain{
		{Name: "input", Hook: nftables.ChainHookInput, Rules: [][]expr.Any{accept(), drop()}}, {Name: "other", Rules: [][]expr.Any{drop()}},
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
		must(t, f.Replace(want))
		if !f.Holds(want) {
			t.Fatal("the table was just written and is missing")
		}
		must(t, h.Do(func() error {
			c, err := nftables.New()
			if err != nil {
				return err
			}
			change(c)
			return c.Flush()
		}))
		if f.Holds(want) {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// A kernel interface stays when its gateway is killed. So does its table, and the next
// gateway takes it over.
func TestPersistentTableOutlivesItsOwner(t *testing.T) {
	h := newHost(t)
	want := Table{Name: "x", Flags: Owned | Persistent, Chains: []Chain{{Name: "a", Rules: [][]expr.Any{drop()}}}}
	killed := open(t, h)
	if err := killed.Replace(want); UnknownFlags(err) {
		t.Skip("the kernel does not know these flags")
	} else {
		must(t, err)
	}
	must(t, killed.Close())
	next := open(t, h)
	defer func() { must(t, next.Close()) }()
	orphan := want
	orphan.Flags = Persistent
	if !next.Holds(orphan) {
		t.Error("the table went with its owner, or still belongs to it")
	}
	must(t, next.Replace(want))
	if !next.Holds(want) {
		t.Error("the next owner has not taken it over")
	}
}
