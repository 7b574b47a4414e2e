package wg

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// namesUs reports whether err names this process as who is in the way.
func namesUs(err error) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid()))
}

// The second has the first one's key, as a gateway that is started twice has. On
// the kernel's WireGuard it would adopt the interface, and delete it at its end.
func TestSecondDeviceLeavesTheInterfaceOfTheFirstAlone(t *testing.T) {
	s := newSite(t)
	s.open()
	s.join(s.guests[0])
	for _, mode := range []Mode{ModeKernel, ModeUserspace, ModeAuto} {
		second := s.options
		second.Mode, second.ListenPort = mode, 0
		s.gateway.do(func() {
			if _, err := Open(t.Context(), second); !namesUs(err) {
				t.Errorf("mode %s: error %v", mode, err)
			}
		})
	}
	must(t, s.device.Ready())
	if n := len(s.wireguard().Peers); n != 1 {
		t.Errorf("the first has %d peers left", n)
	}
	must(t, s.device.Close())
	s.open()
}

func TestNameIsHeldInItsNamespaceAlone(t *testing.T) {
	name := unusedName()
	for _, h := range []*host{newHost(t), newHost(t)} {
		h.do(func() {
			first, err := holdName(name)
			must(t, err)
			t.Cleanup(func() { must(t, first.close()) })
		})
	}
}

// A unit that is restarted every two seconds asks a thousand times in an hour.
func TestHolderIsNamedHoweverOftenItIsAskedFor(t *testing.T) {
	newHost(t).do(func() {
		name := unusedName()
		first, err := holdName(name)
		must(t, err)
		for range 5000 { // more than fit into a queue: net.core.somaxconn
			if _, err := holdName(name); !namesUs(err) {
				t.Fatalf("error %v", err)
			}
		}
		must(t, first.close())
		again, err := holdName(name)
		must(t, err)
		must(t, again.close())
	})
}

func TestKeyIsLockedForOneProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	_, err := LoadOrCreateKey(file)
	must(t, err)
	first, err := LockKey(file, slog.New(slog.DiscardHandler))
	must(t, err)
	newHost(t).do(func() { // another namespace changes nothing
		if _, err := LockKey(file, slog.New(slog.DiscardHandler)); !namesUs(err) {
			t.Errorf("error %v", err)
		}
	})
	must(t, first.Close())
	second, err := LockKey(file, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, second.Close())
}

func TestWordsOfAStrangersProcessAreKeptInOneLine(t *testing.T) {
	if got := printable([]byte("evil\x00\nlevel=ERROR\x1b[2J\x00\xff\x00")); got != "evil  level=ERROR [2J �" {
		t.Errorf("%q", got)
	}
}
