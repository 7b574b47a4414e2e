package load

import (
	"testing"
	"time"
)

func TestQuantilesAreRightToOnePercent(t *testing.T) {
	var h Histogram
	for i := range 100_000 {
		h.Record(time.Duration(i+1) * time.Microsecond)
	}
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := q * 1e5 * 1e3
		got := float64(h.Quantile(q))
		if got < want*0.999 || got > want*1.01 {
			t.Errorf("quantile %v: got %v ns, want %v", q, got, want)
		}
	}
}

func TestEveryDurationFallsIntoItsBucket(t *testing.T) {
	for v := int64(0); v < histogramMax; v += v/97 + 1 {
		i := bucket(v)
		if v > upper(i) || i > 0 && v <= upper(i-1) {
			t.Fatalf("%d is in bucket %d, (%d, %d]", v, i, upper(i-1), upper(i))
		}
	}
	if i := bucket(histogramMax); i != histogramBuckets-1 {
		t.Errorf("the largest value is in bucket %d of %d", i, histogramBuckets)
	}
}

func TestOutOfRangeIsCutToTheRange(t *testing.T) {
	var h Histogram
	h.Record(-time.Second)
	h.Record(1 << 62)
	if h.Count() != 2 || h.Quantile(0.5) != 0 || h.Quantile(1) != histogramMax {
		t.Errorf("got %d, %v, %v", h.Count(), h.Quantile(0.5), h.Quantile(1))
	}
}

func TestAddedHistogramsAreAsOne(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		d := time.Duration(i*i) * time.Microsecond
		both.Record(d)
		if i%3 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Add(&b)
	a.Add(&Histogram{})
	if a != both {
		t.Error("the sum differs from one histogram of everything")
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
