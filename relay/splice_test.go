package relay

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A pipe with bytes in it must never reach another connection.
func TestPipeWithBytesIsClosed(t *testing.T) {
	l := testLoop(t)
	var f flow
	if !(&conn{loop: l}).takePipe(&f) {
		t.Fatal("no pipe")
	}
	in := int(f.pipe.In)
	if _, err := unix.Write(in, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	f.piped = 6
	l.release(&f)
	if f.pipe != nil || f.piped != 0 {
		t.Error("the pipe is still in use")
	}
	if _, err := unix.FcntlInt(uintptr(in), unix.F_GETFD, 0); err == nil {
		t.Error("the pipe is still open")
	}
}
