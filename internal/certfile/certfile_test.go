package certfile

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFilesAreReadUpToTheirBound(t *testing.T) {
	name := filepath.Join(t.TempDir(), "cert.pem")
	for size, ok := range map[int]bool{0: true, MaxSize: true, MaxSize + 1: false} {
		if err := os.WriteFile(name, bytes.Repeat([]byte("x"), size), 0o640); err != nil {
			t.Fatal(err)
		}
		data, mode, err := Read(name)
		if (err == nil) != ok || ok && (len(data) != size || mode.Perm() != 0o640) {
			t.Errorf("%d bytes: %d read, mode %v, %v", size, len(data), mode, err)
		}
	}
}

func TestWhatIsNoFileHoldsNobodyUp(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, t.TempDir(), "/dev/zero", fifo + ".missing"} {
		if data, _, err := Read(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}

func TestCertificateIsValidFromItsFirstToItsLastSecond(t *testing.T) {
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: from, NotAfter: from.Add(time.Hour)}
	for at, ok := range map[time.Duration]bool{-time.Second: false, 0: true, time.Hour: true, time.Hour + time.Second: false} {
		if err := CheckTime(leaf, from.Add(at)); (err == nil) != ok {
			t.Errorf("at %v: %v", at, err)
		}
	}
}
