package backoff

import (
	"math"
	"testing"
	"time"
)

func TestPauseDoublesUpToTheLast(t *testing.T) {
	for failures, want := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second,
		6: 32 * time.Second, 7: time.Minute, 8: time.Minute, math.MaxInt: time.Minute,
	} {
		if got := Double(time.Second, time.Minute, failures); got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
	if got := Double(time.Minute, time.Second, 1); got != time.Second {
		t.Errorf("first is above last: %v", got)
	}
	if got := Double(time.Second, math.MaxInt64, 100); got != math.MaxInt64 {
		t.Errorf("no bound: %v", got)
	}
}
