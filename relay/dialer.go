package relay

import (
	"context"
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"sallyport/internal/duplex"
)

// Dialling where no kernel route leads: Options.Dial or a Backend's own runs on a
// goroutine, and the loop gets one end of a socket pair whose other end is pumped to
// the connection. So there is one engine, whatever network stack is behind it.

// dialElsewhere begins try i on a goroutine.
func (s *setup) dialElsewhere(i int, dial func(context.Context) (net.Conn, error)) {
	d, l, c, e := &s.dialing, s.l, s.c, s.l.engine
	if d.cancel == nil {
		l.races++
		d.serial = l.races
		d.ctx, d.cancel = context.WithCancel(e.aborted)
	}
	serial, ctx := d.serial, d.ctx
	e.background.Go(func() {
		fd, err := e.dialPair(ctx, dial)
		delivered := l.inbox.post(func() {
			// The race may be over, and the coroutine busy with another connection.
			if co := c.co; co != nil && co.c == c && co.dialing.serial == serial && co.dialing.n > i {
				co.dialed(i, fd, err)
			} else if err == nil {
				closeFD(fd)
			}
		})
		if !delivered && err == nil {
			closeFD(fd)
		}
	})
}

// dialed takes over what a goroutine dialled.
func (s *setup) dialed(i int, fd int32, err error) {
	t := &s.dialing.tries[i]
	if err == nil {
		t.fd = fd
		err = s.l.watch(fd, slot{c: s.c, side: trySide + side(i)}, watched)
	}
	if err != nil {
		// Stacks in user space have their own words for a refused port, but every one
		// tells a timeout.
		t.state, t.verdict = failed, refused
		var late net.Error
		if errors.As(err, &late) && late.Timeout() || errors.Is(err, context.Canceled) {
			t.verdict = silence
		}
	} else {
		t.state = connected
	}
	s.l.wake(s.c)
}

// dialPair dials and returns a descriptor that is connected to what it dialled.
func (e *Engine) dialPair(ctx context.Context, dial func(context.Context) (net.Conn, error)) (int32, error) {
	remote, err := dial(ctx)
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, errors.Join(err, remote.Close())
	}
	file := os.NewFile(uintptr(pair[1]), "tunnel")
	local, err := net.FileConn(file) // it duplicates the descriptor
	err = errors.Join(err, file.Close())
	if err != nil {
		closeFD(int32(pair[0]))
		return -1, errors.Join(err, remote.Close())
	}
	stop := context.AfterFunc(e.aborted, func() { duplex.CloseBoth(local, remote) })
	e.background.Go(func() {
		defer stop()
		duplex.Join(local, remote)
	})
	return int32(pair[0]), nil
}
