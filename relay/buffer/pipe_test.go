package buffer

import (
	"sync/atomic"
	"testing"
)

func TestPipesAreBounded(t *testing.T) {
	var open atomic.Int64
	p := Pipes{Max: 2, Open: &open, Refused: func(err error) { t.Error(err) }}
	a, b := p.Take(0), p.Take(0)
	if a == nil || b == nil {
		t.Fatal("no pipe")
	}
	if p.Take(0) != nil {
		t.Error("a third pipe, with room for two")
	}
	p.Put(a)
	if c := p.Take(0); c != a {
		t.Error("the pipe that was given back is not given out")
	}
	p.Discard(a)
	p.Put(b)
	p.Close()
	if n := open.Load(); n != 0 {
		t.Errorf("%d pipes are counted as open", n)
	}
}
