package vm

import (
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

func TestGaugeNeverPassesItsLimit(t *testing.T) {
	g := NewGauge(10)
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if g.Acquire() {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 10 || g.Load() != 10 {
		t.Errorf("%d taken, %d open, want 10", taken.Load(), g.Load())
	}
	g.Release()
	if !g.Acquire() || g.Acquire() {
		t.Error("a released place is not free, or is free twice")
	}
}

func TestGaugeWithoutLimitTakesAll(t *testing.T) {
	var zero Gauge
	for _, g := range []*Gauge{&zero, NewGauge(0), NewGauge(-1)} {
		for range 3 {
			if !g.Acquire() {
				t.Fatal("refused")
			}
		}
	}
}

func TestLiveStaysSmall(t *testing.T) {
	if size := unsafe.Sizeof(Live{}); size > 16 {
		t.Errorf("a Live takes %d bytes: the choice among many apps slows down", size)
	}
}
