package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"sallyport/internal/duplex"
	"sallyport/internal/nonblock"
	"sallyport/internal/oneline"
)

// A bridge gives a loop a connection that is not a socket: the loop has one end of
// a socket pair, and goroutines copy between the other end and the connection.
//
// A socket pair knows no reset: whatever closes one end, the other reads EOF. So a stream
// that was cut off is announced beside it. The goroutines notify the loop before they close
// their end, so that it does not take the EOF for one; the loop leaves a note before it
// closes its own.
type bridge struct {
	*net.UnixConn // the goroutines' end
	loop          *loop
	fd            int32       // the loop's end
	severed       bool        // the connection was cut off; the loop's thread alone uses it
	reset         atomic.Bool // the loop's end is closed in the middle of a stream
}

var _ duplex.Resetter = (*bridge)(nil)

// errCutOff is returned by Read behind a stream of the loop's that was cut off.
var errCutOff = errors.New("the stream was cut off")

// errBridges stands for a descriptor that bridges may not take from others.
var errBridges = fmt.Errorf("%w: too many connections are still ending", unix.EMFILE)

// pair returns a bridge to remote. The goroutines' end outlives the loop's while what is
// under way is not acknowledged, so bridges are bounded beside connections.
func (l *loop) pair(remote net.Conn) (_ *bridge, err error) {
	e := l.engine
	if e.bridges.Add(1) > int64(e.opts.MaxConnections+e.opts.MaxHedges) {
		e.bridges.Add(-1)
		return nil, oneline.Join(errBridges, remote.Close())
	}
	defer func() {
		if err != nil {
			e.bridges.Add(-1)
		}
	}()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, oneline.Join(err, remote.Close())
	}
	file := os.NewFile(uintptr(pair[1]), "tunnel")
	local, err := net.FileConn(file) // it duplicates the descriptor
	err = oneline.Join(err, file.Close())
	if err != nil {
		nonblock.Close(int32(pair[0]))
		return nil, oneline.Join(err, remote.Close())
	}
	b := &bridge{UnixConn: local.(*net.UnixConn), loop: l, fd: int32(pair[0])}
	e.background.Go(func() {
		defer e.bridges.Add(-1)
		e.join(b, remote)
	})
	return b, nil
}

// Read returns errCutOff in place of the EOF of a stream that was cut off.
func (b *bridge) Read(p []byte) (int, error) {
	n, err := b.UnixConn.Read(p)
	if errors.Is(err, io.EOF) && b.reset.Load() {
		err = errCutOff
	}
	return n, err
}

// Reset has the loop see a reset where it would see EOF.
func (b *bridge) Reset() {
	told := make(chan struct{})
	if b.loop.inbox.Post(func() {
		b.sever()
		close(told)
	}) {
		<-told
	}
	_ = b.Close()
}

// sever notes that the connection was cut off. Its loop may not have its end yet, or not
// any more.
func (b *bridge) sever() {
	b.severed = true
	if e := b.loop.endOf(b); e != nil {
		e.severed = true
	}
}

// abandon closes the loop's end in the middle of a stream, or before there was one.
func (b *bridge) abandon() {
	b.reset.Store(true)
	nonblock.Close(b.fd)
}

// cross makes e, which a loop has just begun to watch, the loop's end of b; nil is fine.
func (l *loop) cross(b *bridge, e *end) {
	if b == nil {
		return
	}
	if l.bridges == nil {
		l.bridges = make(map[int32]*bridge)
	}
	l.bridges[b.fd] = b
	e.severed = b.severed
}

// endOf is the end of a connection to which b belongs; nil: none.
func (l *loop) endOf(b *bridge) *end {
	if l.bridges[b.fd] != b {
		return nil
	}
	entry := l.poller.Of(b.fd)
	switch c, s := entry.Owner, side(entry.Role); s {
	case clientSide:
		return &c.client
	case backendSide:
		return &c.backend
	default:
		return &c.co.dialing.tries[s-trySide].end
	}
}
