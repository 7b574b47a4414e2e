package kernel

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A Namespace is a network namespace. What is made later for a tunnel (an
// interface, a socket) is made in the namespace that the tunnel was opened in,
// whichever thread asks. The zero value stands for an unknown namespace, which
// all threads are assumed to be in.
type Namespace struct {
	file *os.File // nil: unknown
	id   namespaceID
}

// namespaceID identifies a namespace: all files of it have the same.
type namespaceID struct{ device, inode uint64 }

const threadNamespace = "/proc/thread-self/ns/net"

// Current returns the namespace of the calling thread. Close it after use.
func Current() (*Namespace, error) {
	f, err := os.Open(threadNamespace)
	if err != nil {
		return nil, fmt.Errorf("network namespace: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("network namespace %s: %w", threadNamespace, err)
	}
	return &Namespace{file: f, id: namespaceID{st.Dev, st.Ino}}, nil
}

// Close releases the namespace.
func (n *Namespace) Close() error {
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// Do runs f on a thread that is in n and waits for it. Entering a namespace takes
// CAP_SYS_ADMIN. A gateway does not have that and does not need it: all its
// threads are in n already.
func (n *Namespace) Do(f func() error) error {
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

// enter runs f on a new thread, which ends with f.
func (n *Namespace) enter(f func() error) error {
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
