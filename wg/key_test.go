package wg

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"sallyport/internal/vm"
)

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "wireguard.key")
	first, err := LoadOrCreateKey(path)
	must(t, err)
	second, err := LoadOrCreateKey(path)
	must(t, err)
	if first != second || first.IsZero() {
		t.Error("the second start has another identity")
	}
	info, err := os.Stat(path)
	must(t, err)
	names, err := os.ReadDir(filepath.Dir(path))
	must(t, err)
	if info.Mode().Perm() != 0o600 || len(names) != 1 {
		t.Errorf("mode %s, %d files", info.Mode(), len(names))
	}
}

func TestKeyIsWhatOtherToolsWriteAndRead(t *testing.T) {
	theirs, err := wgtypes.GeneratePrivateKey()
	must(t, err)
	path := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, []byte(theirs.String()+"\n"), 0o600))
	ours, err := LoadOrCreateKey(path)
	must(t, err)
	if ours.Public() != vm.WGKey(theirs.PublicKey()) {
		t.Errorf("public key %s, want %s", ours.Public(), theirs.PublicKey())
	}
}

func TestBadKeyFileIsAnErrorAndStays(t *testing.T) {
	good := newKey(t).text()
	for name, tc := range map[string]struct {
		content string
		mode    fs.FileMode
		says    string
	}{
		"empty":            {"", 0o600, "damaged"},
		"cut off":          {good[:20], 0o600, "damaged"},
		"too long":         {good + strings.Repeat("\n", 100), 0o600, "damaged"},
		"not base64":       {strings.Repeat("!", 44), 0o600, "damaged"},
		"all zero":         {strings.Repeat("A", 43) + "=", 0o600, "damaged"},
		"group may read":   {good, 0o640, "chmod 600"},
		"all may read":     {good, 0o644, "chmod 600"},
		"others may write": {good, 0o602, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			must(t, os.WriteFile(path, []byte(tc.content), 0o600))
			must(t, os.Chmod(path, tc.mode))
			_, err := LoadOrCreateKey(path)
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %v, want the path and %q", err, tc.says)
			}
			if after, _ := os.ReadFile(path); string(after) != tc.content {
				t.Error("the file was changed")
			}
			if err != nil && strings.Contains(err.Error(), good[:20]) {
				t.Error("the error tells the key")
			}
		})
	}
}

func TestKeyFileThatIsNoFileIsAnError(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	must(t, unix.Mkfifo(fifo, 0o600))
	for _, path := range []string{fifo, t.TempDir()} {
		if _, err := LoadOrCreateKey(path); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
}

func TestOfTwoFirstStartsOneKeyWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	keys := make(chan PrivateKey)
	for range 8 {
		go func() {
			k, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys <- k
		}()
	}
	first := <-keys
	for range 7 {
		if k := <-keys; k != first {
			t.Error("two identities")
		}
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	k := newKey(t)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", k, "options", Options{PrivateKey: k})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", Options{PrivateKey: k})
	}
	must(t, json.NewEncoder(&out).Encode(Options{PrivateKey: k, Log: nil}))
	text := strings.ToLower(out.String())
	for _, form := range []string{k.text(), fmt.Sprintf("%x", k.secret[:]), fmt.Sprintf("%d", k.secret[:]), fmt.Sprint(k.secret[0], k.secret[1], k.secret[2])} {
		if strings.Contains(text, strings.ToLower(strings.Trim(form, "[]"))) {
			t.Errorf("printed as %q", form)
		}
	}
}
