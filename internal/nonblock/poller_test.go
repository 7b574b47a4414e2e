package nonblock

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newPoller(t *testing.T) *Poller[string] {
	t.Helper()
	p := &Poller[string]{}
	if err := p.Open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// seen returns the events of each owner that there are now.
func seen(p *Poller[string]) map[string]uint32 {
	events := make([]unix.EpollEvent, 16)
	all := map[string]uint32{}
	for i := range events[:p.Look(events, 0)] {
		if e := p.For(&events[i]); e != nil {
			all[e.Owner] |= events[i].Events
		}
	}
	return all
}

// awaited returns them when there are some. A signal may end a Look without any.
func awaited(t *testing.T, p *Poller[string]) map[string]uint32 {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); {
		if all := seen(p); len(all) > 0 {
			return all
		}
		runtime.Gosched()
	}
	t.Fatal("no event")
	return nil
}

func TestEventsAreForTheOwnerOfTheirDescriptor(t *testing.T) {
	p := newPoller(t)
	near, far := pair(t)
	for fd, owner := range map[int32]string{near: "near", far: "far"} {
		if err := p.Add(fd, owner, 0, Both); err != nil {
			t.Fatal(err)
		}
	}
	if got := seen(p); got["near"]&unix.EPOLLOUT == 0 || got["far"]&unix.EPOLLOUT == 0 || len(got) != 2 {
		t.Errorf("at first %v, want both writable", got)
	}
	Send(near, []byte("x"))
	if got := awaited(t, p); got["far"]&unix.EPOLLIN == 0 || len(got) != 1 {
		t.Errorf("after a byte %v, want the far end readable", got)
	}
	if got := seen(p); len(got) != 0 {
		t.Errorf("an edge was reported twice: %v", got)
	}
	if p.Of(far).Owner != "far" || int(far) >= p.Len() {
		t.Errorf("%d, below %d, is %q's", far, p.Len(), p.Of(far).Owner)
	}
	p.Of(far).Owner = "other"
	Send(near, []byte("x"))
	if got := awaited(t, p); got["other"]&unix.EPOLLIN == 0 {
		t.Errorf("after it changed hands %v", got)
	}
	p.Forget(far)
	if p.Of(far).Owner != "" {
		t.Errorf("a closed descriptor is %q's", p.Of(far).Owner)
	}
}

func TestChangeReportsWhatHappenedBefore(t *testing.T) {
	p := newPoller(t)
	near, far := pair(t)
	if err := p.Add(far, "far", 0, Both&^unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	seen(p)
	Send(near, []byte("x"))
	if got := seen(p); got["far"]&unix.EPOLLIN != 0 {
		t.Errorf("not asked for, and reported: %v", got)
	}
	p.Change(far, Both)
	if got := awaited(t, p); got["far"]&unix.EPOLLIN == 0 {
		t.Errorf("it was readable before the change, and %v was reported", got)
	}
}

func TestEventsOfAClosedDescriptorAreNotForItsSuccessor(t *testing.T) {
	p := newPoller(t)
	near, far := pair(t)
	if err := p.Add(near, "near", 0, Both); err != nil {
		t.Fatal(err)
	}
	bell, err := NewBell()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	Close(far)
	events := make([]unix.EpollEvent, 1)
	for limit := time.Now().Add(10 * time.Second); p.Look(events, 10) != 1; { // a signal may end it
		if time.Now().After(limit) {
			t.Fatal("no event")
		}
	}
	p.Forget(near)
	if e := p.For(&events[0]); e != nil {
		t.Errorf("the event of a closed descriptor is for %q", e.Owner)
	}
	fd, err := unix.FcntlInt(uintptr(bell.FD()), unix.F_DUPFD_CLOEXEC, int(near))
	if err != nil || fd != int(near) {
		t.Fatalf("the number %d was not given out again: %d, %v", near, fd, err)
	}
	if err := p.Add(near, "successor", 0, Incoming); err != nil {
		t.Fatal(err)
	}
	if e := p.For(&events[0]); e != nil {
		t.Errorf("the event of a closed descriptor is for %q", e.Owner)
	}
}

func TestGenerationsBeginAgainAfterTheLast(t *testing.T) {
	p := newPoller(t)
	near, _ := pair(t)
	p.gen = ^uint32(0)
	if err := p.Add(near, "near", 0, Both); err != nil {
		t.Fatal(err)
	}
	if got := seen(p); got["near"] == 0 {
		t.Errorf("no event: %v", got)
	}
	p.Forget(near)
	if e := p.For(&unix.EpollEvent{Fd: near, Pad: 1}); e != nil {
		t.Errorf("a closed descriptor is %q's", e.Owner)
	}
}

func TestEventsOfUnknownDescriptorsAreNobodys(t *testing.T) {
	p := newPoller(t)
	if e := p.For(&unix.EpollEvent{Fd: 1 << 20}); e != nil {
		t.Errorf("it is %q's", e.Owner)
	}
}

// The caller may have a connection with that descriptor to end.
func TestRefusedDescriptorHasItsOwner(t *testing.T) {
	p := newPoller(t)
	near, _ := pair(t)
	Close(near)
	if err := p.Add(near, "near", 0, Both); err == nil {
		t.Fatal("a closed descriptor was taken")
	}
	if p.Of(near).Owner != "near" {
		t.Errorf("it is %q's", p.Of(near).Owner)
	}
}

func TestBellWakesALook(t *testing.T) {
	p := newPoller(t)
	bell, err := NewBell()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	if err := p.Add(bell.FD(), "bell", 0, Incoming); err != nil {
		t.Fatal(err)
	}
	if got := seen(p); len(got) != 0 {
		t.Errorf("before it rang %v", got)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		bell.Ring()
		bell.Ring()
	}()
	if got := awaited(t, p); got["bell"]&unix.EPOLLIN == 0 {
		t.Errorf("when it rang %v", got)
	}
	<-done
	bell.Silence()
	seen(p)
	bell.Ring()
	if got := awaited(t, p); got["bell"]&unix.EPOLLIN == 0 {
		t.Errorf("when it rang again %v", got)
	}
}
