package cli

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// The ballast counts against a memory limit: with one there is none.
func TestHeapHasABallastOnlyWithoutAMemoryLimit(t *testing.T) {
	t.Setenv("GOGC", "100") // what the test process has stays
	for limit, want := range map[int64]bool{math.MaxInt64: true, 1 << 40: false} {
		old := debug.SetMemoryLimit(limit)
		before := heap()
		release := TuneRuntime(1)
		got := heap()-before > heapFloor/2
		release()
		debug.SetMemoryLimit(old)
		if got != want {
			t.Errorf("limit %d: a ballast is %v, want %v", limit, got, want)
		}
	}
}

// heap is what is allocated, garbage left out.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
