package wg

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// openShared opens the gateway as on a kernel that knows no owned tables, and has no
// more than those.
func (s *site) openShared() {
	s.t.Helper()
	shared := func(mk maker) opener {
		mk.flags, mk.outlives = 0, false
		return func(o Options) (backend, error) { return openTunnel(o, mk) }
	}
	s.gateway.do(func() {
		var err error
		s.device, err = open(s.t.Context(), s.options, map[Mode]opener{ModeUserspace: shared(userspaceMaker()), ModeKernel: shared(kernelMaker())})
		must(s.t, err)
	})
	s.t.Cleanup(func() { must(s.t, s.device.Close()) })
}

func flushRuleset(c *nftables.Conn) { c.FlushRuleset() }

// needFlags skips where the kernel is older than they are.
func needFlags(t *testing.T, h *host, flags tableFlags) {
	t.Helper()
	f := h.filter()
	err := f.replace(table{name: "trial", flags: flags})
	if unknownFlags(err) {
		t.Skipf("the kernel does not know the table flags %#x", flags)
	}
	must(t, err)
	must(t, f.remove("trial"))
}

func TestFlushRulesetDoesNotTakeTheRules(t *testing.T) {
	s := newSite(t)
	needFlags(t, s.gateway, owned|persistent)
	s.open()
	s.gateway.nft(flushRuleset)
	must(t, s.device.Ready())
	must(t, s.device.Close())
	nothingLeft(t, s.gateway, s.options.Interface)
}

func TestFlushedRulesAreBackWhileRunning(t *testing.T) {
	s := newSite(t)
	s.openShared()
	s.gateway.nft(flushRuleset)
	if err := s.device.Ready(); err == nil || !strings.Contains(err.Error(), "not isolated") {
		t.Errorf("ready without rules: %v", err)
	}
	stop := running(t, s.device)
	eventually(t, "the rules are back", func() bool { return s.device.Ready() == nil })
	must(t, stop())
}

func TestCloseAfterFlushedRulesIsNoError(t *testing.T) {
	s := newSite(t)
	s.openShared()
	s.gateway.nft(flushRuleset)
	must(t, s.device.Close())
	nothingLeft(t, s.gateway, s.options.Interface)
}

// A kernel interface stays when its gateway is killed: so do its rules, and the next
// gateway takes them over.
func TestPersistentTableOutlivesItsOwner(t *testing.T) {
	h := newHost(t)
	needFlags(t, h, owned|persistent)
	want := table{name: "x", flags: owned | persistent, chains: []chain{{name: "a", rules: [][]expr.Any{drop()}}}}
	var killed *filter
	h.do(func() {
		inside, err := currentNamespace()
		must(t, err)
		defer func() { must(t, inside.close()) }()
		killed, err = openFilter(inside)
		must(t, err)
	})
	must(t, killed.replace(want))
	must(t, killed.close())
	next := h.filter()
	orphan := want
	orphan.flags = persistent
	if !next.holds(orphan) {
		t.Error("the table went with its owner, or still belongs to it")
	}
	must(t, next.replace(want))
	if !next.holds(want) {
		t.Error("the next owner has not taken it over")
	}
}

func TestTableOfAnotherProcessIsSaid(t *testing.T) {
	s := newSite(t)
	needFlags(t, s.gateway, owned)
	must(t, s.gateway.filter().replace(table{name: tableName(s.options.Interface), flags: owned}))
	s.gateway.do(func() {
		_, err := Open(t.Context(), s.options)
		if err == nil || !strings.Contains(err.Error(), "belongs to another process") || errors.Is(err, errNotPossible) {
			t.Errorf("error %v", err)
		}
	})
}
