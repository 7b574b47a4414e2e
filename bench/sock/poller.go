package sock

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Poller tells which descriptors are ready, and whose they are. It belongs to one
// thread; only Wake may be called by others, until Close.
//
// Each descriptor is registered once, edge-triggered, for both directions. Events
// carry a generation beside the descriptor: one for a descriptor that was closed
// and given out again in the same round is not for its new owner.
type Poller[T any] struct {
	epoll  int32
	bell   int32 // an eventfd
	gen    int32
	slots  []slot[T]
	events [256]unix.EpollEvent
}

type slot[T any] struct {
	gen   int32 // 0: free
	owner T
}

// The events that an owner may be told; Hangup means read on until EOF or an error.
const (
	Readable = unix.EPOLLIN
	Writable = unix.EPOLLOUT
	Hangup   = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// Forever is a timeout that does not end.
const Forever time.Duration = -1

// NewPoller makes a Poller.
func NewPoller[T any]() (*Poller[T], error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		Close(int32(epoll))
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &Poller[T]{epoll: int32(epoll), bell: int32(bell)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(bell)}); err != nil {
		p.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return p, nil
}

// Add registers fd for owner.
func (p *Poller[T]) Add(fd int32, owner T) error {
	for int(fd) >= len(p.slots) {
		p.slots = append(p.slots, make([]slot[T], max(1024, len(p.slots)))...)
	}
	p.gen = max(p.gen+1, 1)
	p.slots[fd] = slot[T]{p.gen, owner}
	const watched = Readable | Writable | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(int(p.epoll), unix.EPOLL_CTL_ADD, int(fd),
		&unix.EpollEvent{Events: watched, Fd: fd, Pad: p.gen}))
}

// Forget closes fd, which takes it out of epoll.
func (p *Poller[T]) Forget(fd int32) {
	p.slots[fd] = slot[T]{}
	Close(fd)
}

// Wait tells each event to ready, after waiting at most timeout for the first one.
// It looks before it waits: under load there is always one, and a look does not
// enter the scheduler.
func (p *Poller[T]) Wait(timeout time.Duration, ready func(owner T, events uint32)) {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if (e != 0 || n == 0) && timeout != 0 {
		n = p.sleep(timeout)
	} else if e != 0 {
		n = 0
	}
	for i := range p.events[:n] {
		ev := &p.events[i]
		if ev.Fd == p.bell {
			var b [8]byte
			_, _ = Read(p.bell, b[:])
			continue
		}
		if s := &p.slots[ev.Fd]; s.gen == ev.Pad {
			ready(s.owner, ev.Events)
		}
	}
}

// sleep waits with a resolution of nanoseconds: epoll_wait counts milliseconds, too
// coarse for a schedule.
func (p *Poller[T]) sleep(timeout time.Duration) uintptr {
	var until *unix.Timespec
	if timeout > 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		until = &ts
	}
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(until)), 0, 0)
	if e == unix.ENOSYS { // before Linux 5.11
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		m, err := unix.EpollWait(int(p.epoll), p.events[:], ms)
		if err != nil {
			return 0
		}
		return uintptr(m)
	}
	if e != 0 {
		return 0
	}
	return n
}

// Wake ends a Wait that is under way, or the next one.
func (p *Poller[T]) Wake() {
	one := [8]byte{7: 1, 0: 1} // not zero in either byte order
	_, _ = unix.Write(int(p.bell), one[:])
}

// Close closes the Poller, not the descriptors registered with it.
func (p *Poller[T]) Close() {
	Close(p.bell)
	Close(p.epoll)
}
