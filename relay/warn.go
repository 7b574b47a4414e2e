package relay

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// warnings keeps the engine's complaints rare: what happens to every connection
// at once must not fill the log as well.
type warnings struct {
	pipes       sync.Once
	descriptors atomic.Int64 // loop clock of the last complaint
	epoll       atomic.Int64
	panic       sample
	dial        atomic.Int64
	ports       atomic.Int64
	unproven    atomic.Int64
	stack       atomic.Int64
}

const warnEvery = int64(10 * time.Second)

// notePipe counts a pipe that could not be made.
func (l *loop) notePipe(err error) {
	l.stats.pipesRefused.Add(1)
	l.engine.warnPipes(err)
}

func (e *Engine) warnPipes(err error) {
	e.warned.pipes.Do(func() {
		e.opts.Log.Warn("bulk transfers are copied, not spliced; give the process CAP_SYS_RESOURCE or raise fs.pipe-user-pages-soft",
			"error", err)
	})
}

func (e *Engine) warnDescriptors(errno unix.Errno) {
	if e.due(&e.warned.descriptors) {
		e.opts.Log.Warn("no descriptor for a new connection; raise the limit (ulimit -n, LimitNOFILE=) or lower max_connections",
			"error", errno, "connections", e.Open())
	}
}

func (e *Engine) warnEpoll(err error) {
	if e.due(&e.warned.epoll) {
		e.opts.Log.Error("epoll cannot watch more descriptors; raise fs.epoll.max_user_watches", "error", err, "connections", e.Open())
	}
}

// warnDial logs a dial that failed on this machine, not on the way.
func (e *Engine) warnDial(to netip.AddrPort, err error) {
	if e.due(&e.warned.dial) {
		e.opts.Log.Warn("cannot start a connection to an instance; check that the tunnel's interface is up",
			"address", to.String(), "error", err)
	}
}

// warnPorts logs a dial for which no local port was left.
func (e *Engine) warnPorts(to netip.AddrPort) {
	if e.due(&e.warned.ports) {
		e.opts.Log.Warn("no local port is left for a connection to this port of an instance; widen net.ipv4.ip_local_port_range, limit the app's connections, or turn on TCP timestamps in the instance",
			"address", to.String(), "connections", e.Open())
	}
}

// warnUnproven logs that an instance did not prove its identity.
func (e *Engine) warnUnproven(b *Backend, err error) {
	if e.due(&e.warned.unproven) {
		e.opts.Log.Warn("an instance did not prove that it belongs to its app; no data of clients was sent to it",
			"instance", b.Name, "address", b.Addr.String(), "error", brief(err))
	}
}

// due reports whether the last complaint was long enough ago, and counts this one.
func (e *Engine) due(last *atomic.Int64) bool {
	now := int64(time.Since(e.began)) + warnEvery // never 0
	before := last.Load()
	return (before == 0 || now-before >= warnEvery) && last.CompareAndSwap(before, now)
}
