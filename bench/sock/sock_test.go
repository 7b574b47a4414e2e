package sock

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// pair is a listener's connection: its two ends, non-blocking.
func pair(t *testing.T, listen string) (near, far int32) {
	t.Helper()
	ln, addr, err := Listen(netip.MustParseAddrPort(listen))
	if err != nil {
		t.Fatal(err)
	}
	near, err = Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, ln, unix.POLLIN)
	far, _, e := nonblock.Accept(ln)
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(func() { nonblock.Close(ln) })
	return near, far
}

func waitFor(t *testing.T, fd int32, events int16) {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: fd, Events: events}}, 10_000)
		if n == 1 {
			return
		}
		if err != unix.EINTR {
			t.Fatalf("descriptor %d: %d, %v", fd, n, err)
		}
	}
}

func newPoller(t *testing.T) *Poller[string] {
	t.Helper()
	p, err := NewPoller[string]()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// until waits for events of owner that include all of want.
func until(t *testing.T, p *Poller[string], owner string, want uint32) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); {
		var got uint32
		p.Wait(time.Second, func(o string, events uint32) {
			if o == owner {
				got |= events
			}
		})
		if got&want == want {
			return
		}
	}
	t.Fatalf("%s got no event %#x", owner, want)
}

func TestBytesArriveOverIPv4AndIPv6(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		near, far := pair(t, listen)
		defer nonblock.Close(near)
		defer nonblock.Close(far)
		p := newPoller(t)
		if err := p.Add(far, "far", 0, nonblock.Both); err != nil {
			t.Fatal(err)
		}
		if n, e := nonblock.Send(near, []byte("hello")); n != 5 || e != 0 {
			t.Fatal(n, e)
		}
		until(t, p, "far", Readable)
		var b [16]byte
		if n, e := nonblock.Read(far, b[:]); n != 5 || e != 0 || string(b[:5]) != "hello" {
			t.Errorf("%d, %v, %q", n, e, b[:n])
		}
		if _, e := nonblock.Read(far, b[:]); e != unix.EAGAIN {
			t.Errorf("an empty socket says %v", e)
		}
		if err := unix.Shutdown(int(near), unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		until(t, p, "far", unix.EPOLLRDHUP)
		if n, e := nonblock.Read(far, b[:]); n != 0 || e != 0 {
			t.Errorf("the end is %d, %v", n, e)
		}
	}
}

func TestNagleIsOffAtBothEnds(t *testing.T) {
	near, far := pair(t, "127.0.0.1:0")
	for _, fd := range []int32{near, far} {
		if on, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); on == 0 || err != nil {
			t.Errorf("TCP_NODELAY is %d, %v", on, err)
		}
		nonblock.Close(fd)
	}
}

func TestErrorSaysWhyAConnectFailed(t *testing.T) {
	ln, addr, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	nonblock.Close(ln)
	p := newPoller(t)
	fd, err := Connect(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Add(fd, "fd", 0, nonblock.Both); err != nil {
		t.Fatal(err)
	}
	until(t, p, "fd", Writable|unix.EPOLLERR)
	if e := nonblock.Error(fd); e != unix.ECONNREFUSED {
		t.Errorf("got %v", e)
	}
	p.Forget(fd)
}

func TestWakeEndsAWait(t *testing.T) {
	p := newPoller(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Wait(Forever, func(string, uint32) { t.Error("an event") })
	}()
	p.Wake()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("it still waits")
	}
}

func TestWaitEndsAfterItsTimeout(t *testing.T) {
	p := newPoller(t)
	began := time.Now()
	p.Wait(3*time.Millisecond, func(string, uint32) { t.Error("an event") })
	if d := time.Since(began); d < 3*time.Millisecond {
		t.Errorf("it ended after %v", d)
	}
}

func TestPinnedThreadRunsOnItsCPUAlone(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !before.IsSet(cpu) {
		cpu++
	}
	type outcome struct {
		set unix.CPUSet
		err error
	}
	got := make(chan outcome, 2)
	for _, n := range []int{cpu, 1023} {
		go func() { // the thread ends with it
			var o outcome
			o.err = Pin(n)
			_ = unix.SchedGetaffinity(0, &o.set)
			got <- o
		}()
		o := <-got
		if n == cpu && (o.err != nil || o.set.Count() != 1 || !o.set.IsSet(cpu)) {
			t.Errorf("pinned to %d: %v, %v", cpu, o.set, o.err)
		}
		if n == 1023 && o.err == nil {
			t.Error("pinned to a CPU that is not there")
		}
	}
}
