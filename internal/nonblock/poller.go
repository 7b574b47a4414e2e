package nonblock

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Poller says which of its descriptors are ready, and whose they are (epoll(7)). It
// belongs to one thread. Open makes it usable.
//
// Events carry a generation beside the descriptor: an event for a descriptor that was
// closed and given out again in the same round is not for its new owner.
type Poller[T any] struct {
	epoll   int32
	gen     uint32 // the latest
	entries []Entry[T]
}

// An Entry is a descriptor's.
type Entry[T any] struct {
	Owner T
	Role  uint8  // which of its owner's descriptors it is: the owner chooses the numbers
	gen   uint32 // 0: it has no owner
}

// Events to ask for, edge-triggered.
const (
	Both     = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff // of a connection
	Incoming = unix.EPOLLIN | unix.EPOLLET&0xffffffff                                   // of a listener or a Bell
)

// Open makes the epoll instance.
func (p *Poller[T]) Open() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create", err)
	}
	p.epoll = int32(fd)
	return nil
}

// Close closes the Poller, not the descriptors in it.
func (p *Poller[T]) Close() { Close(p.epoll) }

// FD is the epoll instance, for a loop that waits on it in its own way.
func (p *Poller[T]) FD() int { return int(p.epoll) }

// Add registers fd for owner. Where epoll refuses fd, it has its entry all the same, until
// Forget.
func (p *Poller[T]) Add(fd int32, owner T, role uint8, events uint32) error {
	for int(fd) >= len(p.entries) {
		p.entries = append(p.entries, make([]Entry[T], max(1024, len(p.entries)))...)
	}
	p.gen = max(p.gen+1, 1)
	p.entries[fd] = Entry[T]{owner, role, p.gen}
	return os.NewSyscallError("epoll_ctl", p.control(unix.EPOLL_CTL_ADD, fd, events))
}

// Change changes which events of fd, which is registered, are asked for. It looks at the
// descriptor at once, so nothing is lost that happened before.
func (p *Poller[T]) Change(fd int32, events uint32) {
	// It cannot fail: the descriptor is registered, and no memory is needed.
	_ = p.control(unix.EPOLL_CTL_MOD, fd, events)
}

func (p *Poller[T]) control(op int, fd int32, events uint32) error {
	return unix.EpollCtl(int(p.epoll), op, int(fd), &unix.EpollEvent{Events: events, Fd: fd, Pad: int32(p.entries[fd].gen)})
}

// Forget closes fd, which takes it out of epoll.
func (p *Poller[T]) Forget(fd int32) {
	p.entries[fd] = Entry[T]{}
	Close(fd)
}

// Len is more than every descriptor that is registered.
func (p *Poller[T]) Len() int { return len(p.entries) }

// Of returns the entry of a descriptor below Len: the zero Entry if it has no owner. It is
// valid until the next Add.
func (p *Poller[T]) Of(fd int32) *Entry[T] { return &p.entries[fd] }

// For returns the entry that an event is for: nil if the descriptor was closed since. It is
// valid until the next Add.
func (p *Poller[T]) For(ev *unix.EpollEvent) *Entry[T] {
	if int(ev.Fd) >= len(p.entries) {
		return nil
	}
	e := &p.entries[ev.Fd]
	if e.gen != uint32(ev.Pad) {
		return nil
	}
	return e
}

// Look reads events, after waiting for the first one for at most so many milliseconds. The
// scheduler does not learn of the wait. A signal ends it.
func (p *Poller[T]) Look(events []unix.EpollEvent, millis int) int {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(millis), 0, 0)
	if e != 0 {
		return 0
	}
	return int(n)
}
