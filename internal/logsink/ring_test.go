package logsink

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
)

// Whatever is put by several at once is taken once, in each one's order, or counted.
func TestRingLosesNothingUncounted(t *testing.T) {
	r := newRing()
	const putters, each = 4, 20_000
	var all sync.WaitGroup
	for p := range putters {
		all.Go(func() {
			for i := range each {
				r.put(line{text: binary.BigEndian.AppendUint32([]byte{byte(p)}, uint32(i))})
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	taken, next := 0, [putters]uint32{}
	for ended := false; ; {
		l, ok := r.take()
		if !ok {
			if ended {
				break
			}
			select {
			case <-done:
				ended = true
			default:
			}
			continue
		}
		taken++
		p, i := l.text[0], binary.BigEndian.Uint32(l.text[1:])
		if i < next[p] {
			t.Fatalf("line %d of putter %d came after line %d", i, p, next[p]-1)
		}
		next[p] = i + 1
	}
	if lost := r.dropped.Load(); uint64(taken)+lost != putters*each {
		t.Errorf("%d taken and %d dropped of %d", taken, lost, putters*each)
	}
	if r.bytes.Load() != 0 {
		t.Errorf("the empty ring counts %d bytes", r.bytes.Load())
	}
}

func TestRingIsBoundedInLinesAndBytes(t *testing.T) {
	for name, size := range map[string]int{"lines": 1, "bytes": 10_000} {
		t.Run(name, func(t *testing.T) {
			r := newRing()
			for range 3 * ringLines {
				r.put(line{text: bytes.Repeat([]byte("x"), size)})
			}
			room := min(ringLines, ringBytes/size)
			if got := 3*ringLines - int(r.dropped.Load()); got != room {
				t.Errorf("%d lines are kept, want %d", got, room)
			}
			if _, ok := r.take(); !ok {
				t.Fatal("nothing to take")
			}
			if r.put(line{text: make([]byte, size)}); 3*ringLines-int(r.dropped.Load()) != room {
				t.Error("the room of a line that was taken is not given out again")
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	r := newRing()
	text := make([]byte, 300)
	for b.Loop() {
		r.put(line{text: text})
		r.take()
	}
}
