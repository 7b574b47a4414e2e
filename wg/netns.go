package wg

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A namespace is the network namespace that a tunnel was opened in. What is made
// later for the tunnel (an interface, a socket) is made there, whatever thread asks.
type namespace struct {
	file *os.File // nil: it is not known, and all threads are taken to be inside
	id   namespaceID
}

// namespaceID is what all files of one namespace have in common.
type namespaceID struct{ device, inode uint64 }

const threadNamespace = "/proc/thread-self/ns/net"

// currentNamespace is that of the calling thread.
func currentNamespace() (*namespace, error) {
	f, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("network namespace %s: %w", threadNamespace, err)
	}
	return &namespace{file: f, id: namespaceID{st.Dev, st.Ino}}, nil
}

func (n *namespace) close() error {
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// do runs f on a thread that is inside. To enter takes CAP_SYS_ADMIN, which a
// gateway has not: its threads are all inside already.
func (n *namespace) do(f func() error) error {
	if n.file == nil {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var st unix.Stat_t
	if err := unix.Stat(threadNamespace, &st); err != nil {
		return fmt.Errorf("network namespace %s: %w", threadNamespace, err)
	}
	if (namespaceID{st.Dev, st.Ino}) == n.id {
		return f()
	}
	return n.enter(f)
}

// enter runs f on a thread of its own, which ends with it.
func (n *namespace) enter(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("panic: %v", p)
			}
		}()
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the tunnel's network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}
