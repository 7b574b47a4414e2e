package gwtest

import (
	"testing"
	"time"
)

// Await waits until ok reports true, and ends the test where it does not within 40 s.
func Await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.After(40 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
