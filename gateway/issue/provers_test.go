package issue

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mholt/acmez/v3"

	"sallyport/config"
	"sallyport/internal/gwtest"
)

func TestSecretsMustBeClosedToOthers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"open", "empty", "two", "good"} {
		text, mode := "secret\n", os.FileMode(0o600)
		switch name {
		case "open":
			mode = 0o640
		case "empty":
			text = "\n"
		case "two":
			text = "a b"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"open": "is open to others (mode 0640): run chmod 600 on it", "empty": "want one word, the secret",
		"two": "want one word, the secret", "none": "no such file",
	} {
		if got, err := readSecret(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("%s: %q, %v, want %s", name, got, err, want)
		}
	}
	if got, err := readSecret(filepath.Join(dir, "good")); got != "secret" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFIFOInPlaceOfAFileIsRefusedByName(t *testing.T) {
	for name, read := range map[string]func(fifo string) error{
		"[acme] roots": func(fifo string) error { _, err := authority(config.Authority{Roots: fifo}); return err },
		"a secret":     func(fifo string) error { _, err := readSecret(fifo); return err },
	} {
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := gwtest.ErrorWithFIFO(t, fifo, read); err == nil || !strings.Contains(err.Error(), "regular file") || !strings.Contains(err.Error(), fifo) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNobodyWaitsForTheOwnNameServer(t *testing.T) {
	var s acmez.Solver = immediate{}
	if _, ok := s.(acmez.Waiter); ok {
		t.Error("it is an acmez.Waiter")
	}
}
