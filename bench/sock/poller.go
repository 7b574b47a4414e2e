package sock

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// A Poller waits for its descriptors with the resolution that a schedule needs. It belongs
// to one thread; only Wake may be called by others, until Close.
type Poller[T any] struct {
	nonblock.Poller[T]
	bell   nonblock.Bell
	events [256]unix.EpollEvent
}

// The events that are reported; Hangup means read on until EOF or an error.
const (
	Readable = unix.EPOLLIN
	Writable = unix.EPOLLOUT
	Hangup   = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// Forever is a timeout that does not end.
const Forever time.Duration = -1

// NewPoller makes a Poller.
func NewPoller[T any]() (*Poller[T], error) {
	p := &Poller[T]{}
	if err := p.Open(); err != nil {
		return nil, err
	}
	var err error
	if p.bell, err = nonblock.NewBell(); err != nil {
		p.Poller.Close()
		return nil, err
	}
	var nobody T
	if err := p.Add(p.bell.FD(), nobody, 0, nonblock.Incoming); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Wait calls ready for each event, after waiting at most timeout for the first one.
// It looks before it waits: under load there is always one, and a look does not
// enter the scheduler.
func (p *Poller[T]) Wait(timeout time.Duration, ready func(owner T, events uint32)) {
	n := p.Look(p.events[:], 0)
	if n == 0 && timeout != 0 {
		n = p.sleep(timeout)
	}
	for i := range p.events[:n] {
		ev := &p.events[i]
		if ev.Fd == p.bell.FD() {
			p.bell.Silence()
			continue
		}
		if e := p.For(ev); e != nil {
			ready(e.Owner, ev.Events)
		}
	}
}

// sleep waits with a resolution of nanoseconds: epoll_wait counts milliseconds, too
// coarse for a schedule.
func (p *Poller[T]) sleep(timeout time.Duration) int {
	var until *unix.Timespec
	if timeout > 0 {
		ts := unix.NsecToTimespec(int64(timeout))
		until = &ts
	}
	n, _, e := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.FD()), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(until)), 0, 0)
	if e == unix.ENOSYS { // before Linux 5.11
		ms := -1
		if timeout > 0 {
			ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
		}
		m, err := unix.EpollWait(p.FD(), p.events[:], ms)
		if err != nil {
			return 0
		}
		return m
	}
	if e != 0 {
		return 0
	}
	return int(n)
}

// Wake ends a Wait that is under way, or the next one.
func (p *Poller[T]) Wake() { p.bell.Ring() }

// Close closes the Poller, not the descriptors registered with it.
func (p *Poller[T]) Close() {
	p.bell.Close()
	p.Poller.Close()
}
