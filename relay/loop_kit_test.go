package relay

import (
	"log/slog"
	"testing"
	"time"
)

// testLoop returns a loop that nothing runs: the test is its thread.
func testLoop(t testing.TB) *loop {
	t.Helper()
	e := &Engine{opts: Options{Log: slog.New(slog.DiscardHandler), Loops: 1, MaxPipes: 2}, began: time.Now()}
	l, err := newLoop(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}
