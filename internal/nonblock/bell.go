package nonblock

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// A Bell wakes the loop whose [Poller] has it: an eventfd. Any goroutine may ring it.
type Bell struct{ fd int32 }

// NewBell makes a Bell.
func NewBell() (Bell, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	return Bell{int32(fd)}, os.NewSyscallError("eventfd", err)
}

// FD is the descriptor, to be added to a Poller with the events Incoming.
func (b Bell) FD() int32 { return b.fd }

// Ring makes the Bell readable.
func (b Bell) Ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(int(b.fd), one[:]) // it neither waits nor fails: the counter would have to overflow first
}

// Silence ends what was rung so far.
func (b Bell) Silence() {
	var count [8]byte
	_, _ = unix.Read(int(b.fd), count[:])
}

// Close closes the Bell. Nobody may ring it any more.
func (b Bell) Close() { Close(b.fd) }
