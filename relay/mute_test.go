package relay

import (
	"testing"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// watchedPassing makes a connection that is up, and whose sockets the loop watches.
func watchedPassing(t testing.TB, l *loop) (c *conn, client, backend int32) {
	t.Helper()
	c, client, backend = passing(t, l)
	for s, e := range map[side]*end{clientSide: &c.client, backendSide: &c.backend} {
		if err := l.poller.Add(e.fd, c, uint8(s), nonblock.Both); err != nil {
			t.Fatal(err)
		}
	}
	return c, client, backend
}

// look lets the loop handle what there is, and tells how many events that was.
func look(l *loop) (events int) {
	list := make([]unix.EpollEvent, eventsPerRun)
	for {
		n := l.poller.Look(list, 0)
		l.tick()
		l.dispatch(list[:n])
		for len(l.ready) > 0 {
			l.again()
		}
		if n == 0 {
			return events
		}
		events += n
	}
}

func TestSenderAheadOfItsReceiverDoesNotWakeTheLoop(t *testing.T) {
	l := testLoop(t)
	c, client, backend := watchedPassing(t, l)
	look(l)
	sent := 0
	for c.client.writable { // until the client, who reads nothing, takes no more
		n, _ := nonblock.Send(backend, make([]byte, 1000))
		sent += max(n, 0)
		look(l)
	}
	events := 0
	for range 100 {
		n, _ := nonblock.Send(backend, make([]byte, 100))
		sent += max(n, 0)
		events += look(l)
	}
	if events > 2*muteAfter {
		t.Errorf("%d events of 100 messages that nobody could take", events)
	}

	// The client reads again: all comes, and the backend is heard as before.
	buf := make([]byte, readSize)
	receive := func() (got int) {
		for quiet := 0; quiet < 3; quiet++ {
			if n, _ := nonblock.Read(client, buf); n > 0 {
				got, quiet = got+n, 0
			}
			look(l)
		}
		return got
	}
	if got := receive(); got != sent {
		t.Errorf("%d bytes of %d came", got, sent)
	}
	for range 3 * muteAfter {
		nonblock.Send(backend, []byte("more"))
		look(l)
		if n, _ := nonblock.Read(client, buf); n != len("more") {
			t.Fatalf("%d bytes came of what was sent after the client had caught up", n)
		}
	}
}

func TestEndOfMutedSenderIsHeard(t *testing.T) {
	l := testLoop(t)
	c, _, backend := watchedPassing(t, l)
	look(l)
	for c.client.writable {
		nonblock.Send(backend, make([]byte, 1000))
		look(l)
	}
	for c.backend.known != muted {
		nonblock.Send(backend, make([]byte, 100))
		look(l)
	}
	nonblock.ShutdownWrite(backend)
	look(l)
	if !c.backend.hup {
		t.Error("a FIN behind what nobody could take was not heard")
	}
}
