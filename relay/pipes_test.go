package relay

import (
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testLoop(t *testing.T) *loop {
	t.Helper()
	e := &Engine{opts: Options{Log: slog.New(slog.DiscardHandler), Loops: 1, MaxPipes: 2}, began: time.Now()}
	l, err := newLoop(e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

func TestPipesAreBounded(t *testing.T) {
	l := testLoop(t)
	var a, b, c flow
	if !l.pipes.take(&a) || !l.pipes.take(&b) {
		t.Fatal("no pipe")
	}
	if l.pipes.take(&c) {
		t.Error("a third pipe, with room for two")
	}
	l.pipes.put(&a)
	if !l.pipes.take(&c) {
		t.Error("the pipe that was given back is not given out")
	}
	l.pipes.discard(&b)
	l.pipes.discard(&c)
	if n := l.stats.pipes.Load(); n != 0 {
		t.Errorf("%d pipes counted as open", n)
	}
}

// A pipe with bytes in it must never reach another connection.
func TestPipeWithBytesIsClosed(t *testing.T) {
	l := testLoop(t)
	var f flow
	if !l.pipes.take(&f) {
		t.Fatal("no pipe")
	}
	in := int(f.pipe.in)
	if _, err := unix.Write(in, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	f.piped = 6
	l.release(&f)
	if len(l.pipes.free) != 0 || f.pipe != nil || f.piped != 0 {
		t.Error("the pipe is still in use")
	}
	if _, err := unix.FcntlInt(uintptr(in), unix.F_GETFD, 0); err == nil {
		t.Error("the pipe is still open")
	}
}

func TestChunksKeepTheirBytesWhileTheyGrow(t *testing.T) {
	var p chunks
	var k *chunk
	want := ""
	for i := range 2000 {
		part := []byte{byte(i), byte(i >> 8), 'x', byte(i)}
		want += string(part)
		k = p.keep(k, part)
		if i%3 == 0 {
			k.off++
			want = want[1:]
		}
	}
	if string(k.bytes()) != want {
		t.Error("the bytes changed")
	}
	p.put(k)
	if again := p.get(len(want)); again != k || again.len() != 0 {
		t.Error("the chunk was not used again, or not emptied")
	}
}

func TestTimersFireInOrderAndOnce(t *testing.T) {
	l := testLoop(t)
	l.timers[timerLinger].after = 100
	l.timers[timerHello].after = 50
	closed := func(name string) *conn {
		c := &conn{loop: l, phase: closed}
		c.timer.c = c
		return c
	}
	a, b, c := closed("a"), closed("b"), closed("c")
	l.arm(&a.timer, timerLinger) // at 100
	l.now = 10
	l.arm(&b.timer, timerLinger) // at 110
	l.arm(&c.timer, timerHello)  // at 60
	l.stop(&a.timer)
	if got := l.timers[timerLinger].head; got != &b.timer {
		t.Error("stopping the first left the list broken")
	}
	l.arm(&a.timer, timerLinger) // at 110, behind b
	l.now = 60
	l.expire()
	if c.timer.armed || !a.timer.armed || !b.timer.armed {
		t.Error("at 60 only the hello timer is due")
	}
	l.now = 110
	l.expire()
	if a.timer.armed || b.timer.armed || l.nextTimeout() != -1 {
		t.Error("at 110 all timers are due")
	}
}
