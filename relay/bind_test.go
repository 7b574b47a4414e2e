package relay

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEachSocketToABackendIsTiedBeforeItConnects(t *testing.T) {
	var tied, late atomic.Int64
	g := start(t, func(_ *gateway, o *Options) {
		o.Bind = func(fd int) error {
			tied.Add(1)
			if _, err := unix.Getpeername(fd); !errors.Is(err, unix.ENOTCONN) {
				late.Add(1)
			}
			return nil
		}
	})
	check := func(dialled string) {
		// A port to come from may be taken: then there is another socket.
		if tied.Load() < 2 || late.Load() != 0 {
			t.Errorf("%s: of two sockets or more %d were tied, %d of them too late", dialled, tied.Load(), late.Load())
		}
		tied.Store(0)
	}
	g.to(refusing(t), afterHello(t, echo))
	mustEcho(t, g.pass())
	check("by the loop")
	a := newApps(t)
	g.toTLS(a, refusing(t), serveTLS(t, a.good(), echoTLS))
	mustEcho(t, g.tls())
	check("encrypted again")
}

// Without a way nobody is dialled, and no instance is to blame.
func TestWithoutAWayNobodyIsDialled(t *testing.T) {
	var reached atomic.Int64
	instance := serve(t, func(*net.TCPConn) { reached.Add(1) })
	g := start(t, func(_ *gateway, o *Options) {
		o.Bind = func(int) error { return errors.New("the tunnel is down") }
	})
	a := newApps(t)
	for name, b := range map[string]Backend{
		"by the loop":     {Addr: instance, Watch: &watcher{}},
		"encrypted again": {Addr: instance, Watch: &watcher{}, TLS: a.judge},
	} {
		g.backends.Store(&[]Backend{b, b})
		c := g.dial()
		write(t, c, helloFor(t, "tls.test"))
		if got := alertIn(t, c); got != alertInternalError {
			t.Errorf("%s: alert %d", name, got)
		}
		if got := g.ended(); got != "no_tunnel" {
			t.Errorf("%s: reason %s", name, got)
		}
		if w := g.watched(0); w.failed.Load() != 0 || reached.Load() != 0 {
			t.Errorf("%s: blamed %d times, reached %d times", name, w.failed.Load(), reached.Load())
		}
	}
}
