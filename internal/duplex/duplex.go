// Package duplex joins two connections of any kind by copying, with half-close.
// It is for the slow ways: a user-space network stack, a forwarder. The gateway's
// own connections are moved by package relay.
package duplex

import (
	"io"
	"net"
	"sync"
)

// Join copies both ways until both directions have ended, passing each EOF on,
// and closes a and b. An error of one direction ends both, since neither
// connection can be asked to reset the other. Closing a and b from outside ends
// it at once.
func Join(a, b net.Conn) {
	defer CloseBoth(a, b)
	var both sync.WaitGroup
	both.Go(func() { oneWay(a, b) })
	oneWay(b, a)
	both.Wait()
}

func oneWay(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		CloseBoth(to, from)
		return
	}
	w, ok := to.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		CloseBoth(to, from)
	}
}

// CloseBoth closes the two; an error would only say that one is closed already.
func CloseBoth(a, b net.Conn) {
	_ = a.Close()
	_ = b.Close()
}
