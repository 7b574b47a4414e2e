package certfile

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRootsAreReadFromARegularFileOnly(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	one := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	write := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one", one)
	write("bundle", bytes.Repeat(one, MaxSize/len(one)+1)) // a system's may be larger than a chain
	write("noise", []byte("x"))
	write("large", append(one, make([]byte, maxRoots)...))
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"one": "", "bundle": "", "noise": "has no certificate", "large": "want at most", "fifo": "want a regular file", "none": "no such file",
	} {
		path := filepath.Join(dir, name)
		_, err := ReadRoots(path)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
