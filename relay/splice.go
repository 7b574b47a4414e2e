package relay

import (
	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// Splicing moves bytes from one socket to the other through a pipe, without
// copying them to this process. A pipe belongs to a flow only while bytes are in
// it: fill takes one and puts bytes in, drain takes them out and gives the pipe
// back, so an idle connection holds two descriptors and not six.

const (
	// A direction goes back to copying after that many fills in a row of less than
	// thinFill bytes: a small message costs fewer system calls by read and write.
	thinAfter = 8
	thinFill  = 16 << 10
)

// takePipe reports whether f has a pipe now. Without one, f copies.
func (c *conn) takePipe(f *flow) bool {
	f.pipe = c.loop.pipes.Take(c.loop.now)
	return f.pipe != nil
}

// putPipe gives back f's pipe, which is empty.
func (c *conn) putPipe(f *flow) {
	c.loop.pipes.Put(f.pipe)
	f.pipe = nil
}

// fill puts bytes of the socket into the flow's pipe and returns how many it
// moved. A splice that moves none says nothing about EOF: it answers 0 or EAGAIN
// also when the kernel is short of pipe memory (haproxy issue 2505). Only the
// socket's own read can show it, so one follows.
func (c *conn) fill(f *flow, from, to *end) int {
	n, errno := nonblock.Splice(from.fd, f.pipe.In, int(f.pipe.Size))
	if errno != 0 || n <= 0 {
		c.putPipe(f)
		switch errno {
		case 0, unix.EAGAIN:
		case unix.ECONNRESET, unix.EPIPE, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED:
			// The socket reports its error once: a read would now return EOF.
			from.lost()
			return 0
		default:
			f.full = 0
		}
		return c.copy(f, from, to)
	}
	f.piped = int32(n)
	if n >= thinFill {
		f.thin = 0
	} else if f.thin++; f.thin >= thinAfter {
		f.thin, f.full = 0, 0
	}
	c.count(f, splicing, n)
	return n
}

// drain takes the bytes out of the pipe; false means that some are left.
func (c *conn) drain(f *flow, to *end) bool {
	for f.piped > 0 {
		if !to.writable {
			return false
		}
		n, errno := nonblock.Splice(f.pipe.Out, to.fd, int(f.piped))
		switch {
		case n > 0 && errno == 0:
			f.piped -= int32(n)
			c.last = c.loop.now
		case errno == unix.EAGAIN:
			to.writable = false
		default:
			to.refused(errno) // push drops the flow and its pipe
			return true
		}
	}
	c.putPipe(f)
	return true
}
