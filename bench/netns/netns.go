package netns

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

// A Namespace is a machine of its own as far as the network goes. It has no name, so
// that the kernel drops it with this process.
type Namespace struct{ handle *os.File }

const threadNamespace = "/proc/thread-self/ns/net"

// New makes one that has nothing but loopback.
func New(ctx context.Context) (*Namespace, error) {
	n := &Namespace{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace (needs root): %w", err)
		}
		if n.handle, err = os.Open(threadNamespace); err != nil {
			return err
		}
		return ip(ctx, "link", "set", "lo", "up")
	})
	return n, err
}

// Do runs f on a thread that is inside: sockets and processes that it makes are.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.handle.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// path is a name of n for ip.
func (n *Namespace) path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.handle.Fd())
}

// Close lets go of n, which ends when nothing runs in it. A nil n has nothing to close.
func (n *Namespace) Close() error {
	if n == nil || n.handle == nil {
		return nil
	}
	return n.handle.Close()
}

// An End is one end of a cable.
type End struct {
	In      *Namespace
	Link    string // its interface
	Address string // its own, with the network: 192.0.2.1/24
}

// Wire lays a cable between two namespaces.
func Wire(ctx context.Context, a, b End) error {
	err := a.In.Do(func() error {
		return ip(ctx, "link", "add", a.Link, "type", "veth", "peer", "name", b.Link, "netns", b.In.path())
	})
	if err != nil {
		return err
	}
	up := func(e End) error {
		return e.In.Do(func() error {
			return oneline.Join(ip(ctx, "addr", "add", e.Address, "dev", e.Link), ip(ctx, "link", "set", e.Link, "up"))
		})
	}
	return oneline.Join(up(a), up(b))
}

// onThread runs f on a thread of its own and brings the thread home afterwards.
func onThread(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(threadNamespace)
		if err != nil {
			ended <- err
			return
		}
		defer home.Close()
		err = f()
		// A thread that cannot go home stays locked and ends with this goroutine.
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		ended <- oneline.Join(err, back)
	}()
	return <-ended
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %.200s", strings.Join(args, " "), err, out)
	}
	return nil
}
