package gwtest

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// ErrorWithFIFO returns what read returns when fifo is one. Writers come and leave meanwhile: a reader
// that waits for one reads nothing then, instead of holding up the test.
func ErrorWithFIFO(t testing.TB, fifo string, read func(string) error) error {
	t.Helper()
	_ = os.Remove(fifo)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- read(fifo) }()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-again.C:
			if f, err := os.OpenFile(fifo, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil { // else nobody reads
				_ = f.Close()
			}
		}
	}
}
