package health

import (
	"sync"
	"testing"
)

// A machine may open many ports, and its clients use them all: the memory is of those
// that answered last.
func TestOnlyThePortsThatAnsweredLastAreRemembered(t *testing.T) {
	var d dials
	for port := uint16(1); port <= 100; port++ {
		d.answer(port, uint32(port))
	}
	const now = 1000
	for port := uint16(1); port <= 100; port++ {
		if got, want := d.failure(port, now) == 1, port > 100-knownPorts; got != want {
			t.Errorf("port %d: counted is %v, want %v", port, got, want)
		}
	}
	if d.row() != 1 {
		t.Errorf("a row of %d", d.row())
	}
}

func TestAnswerEndsEveryRow(t *testing.T) {
	var d dials
	d.answer(1, 1)
	d.answer(2, 1)
	for n := int32(1); n < 10; n++ {
		if got := d.failure(1, 100); got != n {
			t.Fatalf("failure %d is told as %d", n, got)
		}
	}
	d.failure(2, 100)
	if d.row() != 9 || !d.answer(3, 100) || d.row() != 0 {
		t.Errorf("a row of %d after an answer", d.row())
	}
	if d.answer(3, 101) {
		t.Error("a second answer ended something")
	}
}

func TestRowOfFailuresDoesNotOverflow(t *testing.T) {
	var d dials
	d.answer(1, 1)
	for range 1<<16 + 10 {
		d.failure(1, 100)
	}
	if d.row() != 1<<16-1 || dialledPort(d.ports[0].Load()).port() != 1 {
		t.Errorf("a row of %d at port %d", d.row(), dialledPort(d.ports[0].Load()).port())
	}
}

func TestDialsAreNotedByManyLoops(t *testing.T) {
	var d dials
	d.answer(1, 1)
	var loops sync.WaitGroup
	for range 4 {
		loops.Go(func() {
			for range 1000 {
				d.failure(1, 100)
			}
		})
	}
	loops.Wait()
	if d.row() != 4000 {
		t.Errorf("a row of %d", d.row())
	}
	for loop := range uint16(4) {
		loops.Go(func() {
			for i := range uint16(1000) {
				d.answer(loop+i%knownPorts, 101)
			}
		})
	}
	loops.Wait()
	seen := map[uint16]bool{}
	for i := range d.ports {
		port := dialledPort(d.ports[i].Load()).port()
		if seen[port] && port != 0 {
			t.Errorf("port %d stands twice", port)
		}
		seen[port] = true
	}
}

// The usual case: a port that has just answered.
func BenchmarkAnswer(b *testing.B) {
	var d dials
	d.answer(443, 1)
	for b.Loop() {
		d.answer(443, 1)
	}
}
