package relay

import (
	"testing"

	"sallyport/internal/nonblock"
)

func TestSplicingHearsWhatComesAfterTheSocketWasDrained(t *testing.T) {
	l := testLoop(t)
	c, client, backend := watchedPassing(t, l)
	look(l)
	c.down.full = spliceAfter
	buf := make([]byte, readSize)
	for _, size := range []int{thinFill, 2 * thinFill, thinFill} {
		nonblock.Send(backend, make([]byte, size))
		look(l)
		if c.down.mode != splicing || c.backend.readable {
			t.Fatalf("%v, and the drained backend is readable: %v", c.down.mode, c.backend.readable)
		}
		got := 0
		for n, errno := nonblock.Read(client, buf); errno == 0; n, errno = nonblock.Read(client, buf) {
			got += n
		}
		if got != size {
			t.Fatalf("%d bytes of %d came", got, size)
		}
	}
	nonblock.ShutdownWrite(backend)
	look(l)
	if n, errno := nonblock.Read(client, buf); n != 0 || errno != 0 {
		t.Errorf("after the backend's FIN the client reads %d bytes, %v", n, errno)
	}
}
