package relay

import (
	"context"
	"net"
	"testing"
	"time"
)

// hold stops the only loop of g at the end of a round until release is called, so that
// what happens meanwhile is all seen in one round.
func (g *gateway) hold() (release func()) {
	g.t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	g.loops[0].inbox.Post(func() {
		close(held)
		<-free
	})
	<-held
	return func() { close(free) }
}

// posted waits until something is in the inbox of g's only loop.
func (g *gateway) posted() {
	g.t.Helper()
	b := &g.loops[0].inbox
	eventually(g.t, "something was posted to the loop", func() bool { return !b.Empty() })
}

func TestHelloInTheRoundOfItsDeadlineIsInTime(t *testing.T) {
	const limit = 200 * time.Millisecond
	var instance watcher
	g := start(t, func(_ *gateway, o *Options) { o.Loops, o.Timeouts.Hello = 1, limit })
	g.backends.Store(&[]Backend{{Addr: afterHello(t, echo), Watch: &instance}})
	h := helloFor(t, "raw.test")
	c := g.dial()
	g.waitOpen(1)
	write(t, c, h[:10])
	release := g.hold()
	deadline := time.After(limit)
	write(t, c, h[10:])
	<-deadline
	release()
	mustEcho(t, c)
	if instance.failed.Load() != 0 {
		t.Error("the instance was blamed for a late hello")
	}
}

func TestDialThatSucceedsInTheRoundOfItsDeadlineIsTaken(t *testing.T) {
	const limit = 200 * time.Millisecond
	backend := afterHello(t, echo)
	dialling, connected := make(chan struct{}), make(chan struct{})
	g := start(t, func(_ *gateway, o *Options) { o.Loops, o.Timeouts.Connect = 1, limit })
	g.backends.Store(&[]Backend{{Dial: func(ctx context.Context) (net.Conn, error) {
		close(dialling)
		<-connected
		var d net.Dialer
		return d.DialContext(context.WithoutCancel(ctx), "tcp", backend.String())
	}}})
	c := g.pass()
	<-dialling
	release := g.hold()
	<-time.After(limit)
	close(connected)
	g.posted()
	release()
	mustEcho(t, c)
}

// To look once more before giving up is no way to go on for ever.
func TestClientThatDripsDoesNotOutliveItsDeadline(t *testing.T) {
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Hello = 200 * time.Millisecond }).to(afterHello(t, echo))
	c := g.dial()
	go func() {
		for _, b := range helloFor(t, "raw.test") {
			if _, err := c.Write([]byte{b}); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}()
	if got := g.ended(); got != "hello_timeout" {
		t.Errorf("reason %s", got)
	}
}
