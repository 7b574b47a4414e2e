package relay

import (
	"iter"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// passing makes a connection that is up, on sockets: what is written to client arrives
// at backend.
func passing(t testing.TB, l *loop) (c *conn, client, backend int32) {
	t.Helper()
	pair := func() (ours, theirs int32) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
		return int32(fds[0]), int32(fds[1])
	}
	c = &conn{loop: l, phase: relaying}
	c.client.fd, client = pair()
	c.backend.fd, backend = pair()
	return c, client, backend
}

func TestBulkWaitsBehindRequests(t *testing.T) {
	l := testLoop(t)
	transfer, sender, _ := passing(t, l)
	request, asking, asked := passing(t, l)
	const ready = unix.EPOLLIN | unix.EPOLLOUT

	nonblock.Send(sender, make([]byte, bulkSize))
	l.event(transfer, clientSide, ready)
	l.event(transfer, backendSide, ready)
	if !transfer.bulk || transfer.up.bytes != bulkSize {
		t.Fatalf("moved %d bytes, bulk is %v", transfer.up.bytes, transfer.bulk)
	}

	nonblock.Send(sender, make([]byte, 100))
	nonblock.Send(asking, []byte("ping"))
	l.event(transfer, clientSide, ready)
	l.event(request, clientSide, ready)
	l.event(request, backendSide, ready)
	if n, _ := nonblock.Read(asked, make([]byte, 10)); n != len("ping") || transfer.up.bytes != bulkSize {
		t.Errorf("the request got %d bytes through, the transfer before it %d", n, transfer.up.bytes-bulkSize)
	}
	l.tick()
	l.again()
	if transfer.up.bytes != bulkSize+100 {
		t.Errorf("the transfer moved %d bytes in its turn, want 100", transfer.up.bytes-bulkSize)
	}
	if transfer.bulk {
		t.Error("who moves little is still taken for bulk")
	}
}

func TestBulkTakesTurns(t *testing.T) {
	l := testLoop(t)
	l.tick()
	var transfers []*conn
	for range 1000 {
		c, sender, _ := passing(t, l)
		nonblock.Send(sender, make([]byte, 100))
		c.bulk = true
		l.event(c, clientSide, unix.EPOLLIN|unix.EPOLLOUT)
		l.event(c, backendSide, unix.EPOLLIN|unix.EPOLLOUT)
		transfers = append(transfers, c)
	}
	rounds := 0
	for ; l.busy(); rounds++ {
		l.tick()
		l.again()
	}
	for i, c := range transfers {
		if c.up.bytes != 100 {
			t.Fatalf("transfer %d moved %d bytes in %d rounds", i, c.up.bytes, rounds)
		}
	}
}

// One handshake takes as long as many of the other steps.
func TestLongStepOfASetupEndsTheTurn(t *testing.T) {
	l := testLoop(t)
	steps := func(took time.Duration) (n *int) {
		n = new(int)
		c := &conn{loop: l, phase: settingUp}
		c.co = &coro{setup: setup{c: c, l: l}}
		c.co.next, c.co.stop = iter.Pull(func(yield func(struct{}) bool) {
			for {
				for end := l.clock() + int64(took); l.clock() < end; {
				}
				*n++
				if !yield(struct{}{}) {
					return
				}
			}
		})
		t.Cleanup(c.co.stop)
		l.wake(c)
		return n
	}
	first, long, last := steps(0), steps(2*setupLong), steps(0)
	l.tick()
	l.goOnSetups()
	if *first > 1 || *long > 1 || *last > 0 {
		t.Errorf("%d, %d and %d steps in a turn that the second fills", *first, *long, *last)
	}
	for range 3 {
		l.tick()
		l.goOnSetups()
	}
	if *first != 1 || *long != 1 || *last != 1 {
		t.Errorf("%d, %d and %d steps in the end", *first, *long, *last)
	}
}
