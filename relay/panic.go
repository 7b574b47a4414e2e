package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime/debug"

	"sallyport/internal/duplex"
)

// A panic ends one connection, wherever it comes from: the pumps (endOnPanic), the
// setup (coro.serve), and what is called for a connection on a goroutine. What meets
// a bug is mostly what a client or an instance has sent, and they send it again.

// errPanic is the error of a dial that panicked.
var errPanic = errors.New("panic; the log has its stack")

// logPanic logs a panic with the stack of the goroutine that recovered it. A peer that
// has found a bug can repeat it: linesPerSecond are logged.
func (e *Engine) logPanic(p any) {
	if !e.warned.panic.take(e.second()) {
		return
	}
	e.opts.Log.Error("panic; this connection is ended, please report it",
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// decide runs a decision that has to wait.
func (e *Engine) decide(ctx context.Context, later func(context.Context, *Decision)) (d Decision) {
	defer func() {
		if p := recover(); p != nil {
			e.logPanic(p)
			d = Decision{Refuse: Internal}
		}
	}()
	later(ctx, &d)
	return d
}

// reaching runs a dial.
func (e *Engine) reaching(dial func() (dialled, error)) (got dialled, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.logPanic(p)
			err = errPanic
		}
	}()
	return dial()
}

// join joins a bridge and the connection behind it.
func (e *Engine) join(b *bridge, remote net.Conn) {
	defer func() {
		if p := recover(); p != nil {
			e.logPanic(p)
		}
	}()
	duplex.Join(e.aborted, b, remote)
}
