package relay

import (
	"testing"

	"sallyport/relay/buffer"
)

// A direction reads more at once while its receiver takes all of it, and the least again
// when it does not.
func TestReadsGrowWithTheReceiver(t *testing.T) {
	l := &loop{}
	f := &flow{}
	steps := []struct {
		part float64 // of what was asked for that came
		all  bool    // the receiver took it
		want int     // the next read
	}{
		{1, true, 2 * readSize},
		{1, true, 4 * readSize},
		{0.5, true, 4 * readSize},
		{1, true, readMost},
		{1, true, readMost},
		{1, false, readSize},
		{1, true, 2 * readSize},
		{0.5, false, readSize},
	}
	for i, step := range steps {
		size := l.appetite(f)
		f.fed(int(step.part*float64(size)), size, step.all)
		if got := l.appetite(f); got != step.want {
			t.Fatalf("step %d: %d bytes at once after %+v, want %d", i, got, step, step.want)
		}
	}
}

// What slow receivers leave in memory is bounded: buffer.LargeChunks of them keep a large read,
// all others a small one.
func TestOnlySoManyKeepALargeRead(t *testing.T) {
	l := &loop{}
	hungry := &flow{full: buffer.GrowMost}
	var kept []*buffer.Chunk
	for range 3 * buffer.LargeChunks {
		size := l.appetite(hungry)
		kept = append(kept, l.chunks.Keep(nil, make([]byte, size)))
	}
	large := 0
	for _, k := range kept {
		if k.Len() > readSize {
			large++
		}
	}
	if large != buffer.LargeChunks {
		t.Errorf("%d of %d keep a large read, want %d", large, len(kept), buffer.LargeChunks)
	}
	for _, k := range kept {
		l.chunks.Put(k)
	}
	if got := l.appetite(hungry); got != readMost {
		t.Errorf("%d bytes at once when all were given back, want %d", got, readMost)
	}
}
