package hold

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

func newHost(t *testing.T) *gwtest.Host {
	t.Helper()
	if missing := gwtest.Missing(); missing != "" {
		t.Skip(missing)
	}
	return gwtest.NewHost(t, "host")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// namesUs reports whether err names this process as the one in the way.
func namesUs(err error) bool {
	return err != nil && strings.Contains(err.Error(), fmt.Sprintf("process %d (", os.Getpid()))
}

func TestNameIsHeldInItsNamespaceAlone(t *testing.T) {
	for _, h := range []*gwtest.Host{newHost(t), newHost(t)} {
		var first io.Closer
		must(t, h.Do(func() (err error) {
			first, err = Interface("wg-test")
			return err
		}))
		defer func() { must(t, first.Close()) }()
	}
}

// A unit that is restarted every two seconds asks a thousand times in an hour.
func TestHolderIsNamedHoweverOftenItIsAskedFor(t *testing.T) {
	must(t, newHost(t).Do(func() error {
		first, err := Interface("wg-test")
		if err != nil {
			return err
		}
		for range 5000 { // more than fit into a queue: net.core.somaxconn
			if _, err := Interface("wg-test"); !namesUs(err) {
				return fmt.Errorf("error %w", err)
			}
		}
		if err := first.Close(); err != nil {
			return err
		}
		again, err := Interface("wg-test")
		if err != nil {
			return err
		}
		return again.Close()
	}))
}

func TestKeyIsLockedForOneProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(file, []byte("a key"), 0o600))
	first, err := Key(file, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, newHost(t).Do(func() error { // another namespace changes nothing
		if _, err := Key(file, slog.New(slog.DiscardHandler)); !namesUs(err) {
			t.Errorf("error %v", err)
		}
		return nil
	}))
	must(t, first.Close())
	second, err := Key(file, slog.New(slog.DiscardHandler))
	must(t, err)
	must(t, second.Close())
}

func TestCommandLineOfAnotherProcessStaysOnOneLine(t *testing.T) {
	if got := printable([]byte("evil\x00\nlevel=ERROR\x1b[2J\x00\xff\x00")); got != "evil  level=ERROR [2J �" {
		t.Errorf("%q", got)
	}
}
