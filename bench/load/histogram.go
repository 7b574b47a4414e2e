package load

import (
	"math/bits"
	"time"
)

// A Histogram counts durations in buckets whose width grows with them: 128 buckets
// for each power of two of nanoseconds, so that a value is known to 0.8 % from 1 ns
// to 9 hours, in 36 kB whatever is counted. The zero Histogram is empty. It is not
// for concurrent use.
type Histogram struct {
	count    uint64
	sum      float64
	min, max int64
	buckets  [histogramBuckets]uint64
}

const (
	histogramBits    = 7
	histogramBuckets = (45 - histogramBits + 1) << histogramBits
	histogramMax     = 1<<45 - 1
)

// Record counts one duration; below zero is zero, above 9 hours is 9 hours.
func (h *Histogram) Record(d time.Duration) {
	v := min(max(int64(d), 0), histogramMax)
	if h.count == 0 || v < h.min {
		h.min = v
	}
	h.max = max(h.max, v)
	h.count++
	h.sum += float64(v)
	h.buckets[bucket(v)]++
}

// Add counts what o has counted.
func (h *Histogram) Add(o *Histogram) {
	if o.count == 0 {
		return
	}
	if h.count == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.count += o.count
	h.sum += o.sum
	for i, n := range &o.buckets {
		h.buckets[i] += n
	}
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.count }

// Quantile is the duration that the share q of all does not exceed, such as 0.99:
// the upper end of its bucket, but not more than the largest one. It is 0 if
// nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := min(max(uint64(q*float64(h.count)+0.5), 1), h.count)
	for i, n := range &h.buckets {
		if rank <= n {
			return time.Duration(min(upper(i), h.max))
		}
		rank -= n
	}
	return time.Duration(h.max)
}

// Mean is the average.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.count))
}

// bucket is linear up to 2^histogramBits, and then has as many buckets for each
// power of two.
func bucket(v int64) int {
	shift := max(bits.Len64(uint64(v))-histogramBits-1, 0)
	return shift<<histogramBits + int(v>>shift)
}

// upper is the largest value of a bucket.
func upper(i int) int64 {
	if i < 2<<histogramBits {
		return int64(i)
	}
	shift := i>>histogramBits - 1
	return (int64(i-shift<<histogramBits)+1)<<shift - 1
}
