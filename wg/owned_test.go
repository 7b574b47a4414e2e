package wg

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/nftables"

	"sallyport/wg/isolate"
	"sallyport/wg/kernel"
	"sallyport/wg/nft"
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

// filter opens a filter of this host.
func (h *host) filter() (f *nft.Filter) {
	h.t.Helper()
	h.do(func() {
		inside, err := kernel.Current()
		must(h.t, err)
		defer func() { must(h.t, inside.Close()) }()
		f, err = nft.Open(inside)
		must(h.t, err)
	})
	h.t.Cleanup(func() { must(h.t, f.Close()) })
	return f
}

// nft changes the packet filter of this host as another program does.
func (h *host) nft(change func(*nftables.Conn)) {
	h.t.Helper()
	h.do(func() {
		c, err := nftables.New()
		must(h.t, err)
		change(c)
		must(h.t, c.Flush())
	})
}

func flushRuleset(c *nftables.Conn) { c.FlushRuleset() }

// needFlags skips where the kernel is older than they are.
func needFlags(t *testing.T, h *host, flags nft.Flags) {
	t.Helper()
	f := h.filter()
	err := f.Replace(nft.Table{Name: "trial", Flags: flags})
	if nft.UnknownFlags(err) {
		t.Skipf("the kernel does not know the table flags %#x", flags)
	}
	must(t, err)
	must(t, f.Remove("trial"))
}

func TestFlushRulesetDoesNotTakeTheRules(t *testing.T) {
	s := newSite(t)
	needFlags(t, s.gateway, nft.Owned|nft.Persistent)
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

func TestTableOfAnotherProcessIsReported(t *testing.T) {
	s := newSite(t)
	needFlags(t, s.gateway, nft.Owned)
	must(t, s.gateway.filter().Replace(nft.Table{Name: isolate.TableName(s.options.Interface), Flags: nft.Owned}))
	s.gateway.do(func() {
		_, err := Open(t.Context(), s.options)
		if err == nil || !strings.Contains(err.Error(), "belongs to another process") || errors.Is(err, errNotPossible) {
			t.Errorf("error %v", err)
		}
	})
}
