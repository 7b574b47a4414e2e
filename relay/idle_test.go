package relay

import (
	"testing"
	"time"

	"sallyport/internal/nonblock"
)

// What a receiver takes of what the kernel holds for it is progress, though the gateway
// moves nothing for as long.
func TestReceiverThatTakesItsTimeIsNotIdle(t *testing.T) {
	l := testLoop(t)
	l.engine.opts.Timeouts.Idle = 8 * time.Second
	c, reader, _ := passing(t, l)
	c.timer.c = c
	l.stats.open.Add(1)
	l.engine.open.Add(1)
	l.tick()
	c.last = l.now
	const pieces = 5
	for range pieces {
		nonblock.Send(c.client.fd, make([]byte, 1000)) // a Unix socket counts its messages
	}
	visit := func() {
		l.now += int64(time.Second)
		c.visitIdle()
	}
	for range pieces {
		for range 7 {
			visit()
		}
		nonblock.Read(reader, make([]byte, 1000))
		visit()
		if c.phase != relaying {
			t.Fatal("ended as idle, though the client takes what the kernel holds")
		}
	}
	for range 9 {
		visit()
	}
	if c.phase != closed || c.reason != IdleTimeout {
		t.Errorf("phase %d, reason %v: nothing is taken any more", c.phase, c.reason)
	}
}
