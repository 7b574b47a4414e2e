package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSystemdIsToldThatTheProcessLives(t *testing.T) {
	dir, err := os.MkdirTemp("", "sd") //nolint:usetesting // with the test's name in it, a socket's path may have more than 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	at := filepath.Join(dir, "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: at, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", at)
	t.Setenv("WATCHDOG_USEC", "20000")
	stderr, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	s := newLogSite(t, stderr)
	systemd.SetReadDeadline(time.Now().Add(30 * time.Second))
	told := func() {
		b := make([]byte, 100)
		if n, err := systemd.Read(b); err != nil || string(b[:n]) != "WATCHDOG=1" {
			t.Fatalf("systemd was told %q, %v; the log:\n%s", b[:n], err, read(t, stderr))
		}
	}
	for range 3 {
		told()
	}
	s.mustStop()
}
