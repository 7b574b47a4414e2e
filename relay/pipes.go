package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// Pipe sizes. The kernel counts a user's pipe pages (pipe(7),
// pipe-user-pages-soft: 64 MiB). Past that, a process without CAP_SYS_RESOURCE
// gets pipes of 8 KiB and is not told; relaying through those is half as fast
// as copying. So the size is read back, and a small pipe is not used.
//
// The first pipes of a loop are the large ones, and the ones most used, because the
// pool gives out what came back last: fewer and fuller splices make longer segments.
// Sixteen transfers on loopback took 218 to 288 ms of CPU a GB so, and 316 to 457
// through pipes of 256 KiB alone. More of that size would use the quota up.
const (
	pipeSize    = 256 << 10
	pipeLarge   = 1 << 20
	pipesLarge  = 16
	pipeTooTiny = 64 << 10
	pipesFree   = 64          // waiting in the pool of one loop
	pipeRetry   = time.Second // after the quota was found used up
)

type pipe struct {
	in, out int32 // written to, read from
	size    int32
}

// pipes is a loop's pool. It belongs to the loop's thread. A pipe in the pool is
// empty; one that is not goes back to nobody: it is closed, because its bytes
// are another connection's.
type pipes struct {
	loop  *loop
	free  []*pipe
	max   int64 // open pipes of this loop, all together
	retry int64 // loop clock until which none is made
}

// take sees to it that f has a pipe; false means that there is none to be had,
// and f copies.
func (p *pipes) take(f *flow) bool {
	if n := len(p.free); n > 0 {
		f.pipe = p.free[n-1]
		p.free = p.free[:n-1]
		return true
	}
	stats := &p.loop.stats
	if stats.pipes.Load() >= p.max || p.loop.now < p.retry {
		return false
	}
	size := pipeSize
	if stats.pipes.Load() < pipesLarge {
		size = pipeLarge
	}
	made, err := newPipe(size)
	if err != nil {
		p.retry = p.loop.now + int64(pipeRetry)
		stats.pipesRefused.Add(1)
		p.loop.engine.warnPipes(err)
		return false
	}
	stats.pipes.Add(1)
	f.pipe = made
	return true
}

// put gives back f's pipe, which is empty.
func (p *pipes) put(f *flow) {
	if len(p.free) >= pipesFree {
		p.discard(f)
		return
	}
	p.free = append(p.free, f.pipe)
	f.pipe = nil
}

// discard closes f's pipe, if it has one, with what is in it.
func (p *pipes) discard(f *flow) {
	if f.pipe == nil {
		return
	}
	f.pipe.close()
	f.pipe, f.piped = nil, 0
	p.loop.stats.pipes.Add(-1)
}

func (p *pipes) close() {
	for _, free := range p.free {
		free.close()
		p.loop.stats.pipes.Add(-1)
	}
	p.free = nil
}

func (p *pipe) close() {
	closeFD(p.in)
	closeFD(p.out)
}

// probePipes says at the start, not in the middle of the night, that nothing will
// be spliced.
func (e *Engine) probePipes() {
	p, err := newPipe(pipeSize)
	if err != nil {
		e.warnPipes(err)
		return
	}
	p.close()
}

func newPipe(want int) (*pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	p := &pipe{out: int32(fds[0]), in: int32(fds[1])}
	// A refusal shows in the size that is read back.
	_, _ = unix.FcntlInt(uintptr(p.in), unix.F_SETPIPE_SZ, want)
	size, err := unix.FcntlInt(uintptr(p.in), unix.F_GETPIPE_SZ, 0)
	if err == nil && size < pipeTooTiny {
		err = errPipeQuota
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.size = int32(size)
	return p, nil
}
