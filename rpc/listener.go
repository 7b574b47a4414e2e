package rpc

import (
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// limitListener bounds open connections. When all are taken it accepts no more:
// the kernel's queue waits, and the timeouts of the server free a place within
// seconds. A source that has its share is turned away at once, so that one alone
// cannot take them all.
type limitListener struct {
	net.Listener
	places  chan struct{} // one per open connection
	closed  chan struct{}
	close   sync.Once
	refused prometheus.Counter
	max     int // per source

	mu   sync.Mutex // guards open; held for a map access only
	open map[netip.Prefix]int
}

func newLimitListener(l net.Listener, all, perSource int, refused prometheus.Counter) *limitListener {
	return &limitListener{
		Listener: l, places: make(chan struct{}, all), closed: make(chan struct{}), refused: refused,
		max: perSource, open: make(map[netip.Prefix]int),
	}
}

// Accept waits for a place, then for a connection.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.places
			return nil, err
		}
		source := sourceOf(c.RemoteAddr())
		if l.acquire(source) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.release(source) })}, nil
		}
		l.refused.Inc()
		c.Close()
	}
}

// Close ends Accept, also while it waits for a place.
func (l *limitListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *limitListener) acquire(source netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[source] >= l.max {
		return false
	}
	l.open[source]++
	return true
}

func (l *limitListener) release(source netip.Prefix) {
	l.mu.Lock()
	if l.open[source]--; l.open[source] == 0 {
		delete(l.open, source)
	}
	l.mu.Unlock()
	<-l.places
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// sourceOf is the client's address, or its /64: an IPv6 client owns all in it.
// What has no IP address counts as one source.
func sourceOf(a net.Addr) netip.Prefix {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // it fails only for bits out of range
	return p
}
