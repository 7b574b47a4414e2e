package buffer

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Pipe sizes. The kernel counts a user's pipe pages (pipe(7), pipe-user-pages-soft: 64
// MiB). Above that, a process without CAP_SYS_RESOURCE gets pipes of 8 KiB and no error;
// relaying through those is half as fast as copying. So the size is read back, and a small
// pipe is not used.
//
// The first pipes of a loop are large, and they are used most, because the pool gives out
// the pipe that came back last: fewer and fuller splices make longer segments. Sixteen
// transfers on loopback took 218 to 288 ms of CPU a GB this way, and 316 to 457 through
// pipes of 256 KiB alone. More large pipes would use up the quota.
const (
	pipeSize    = 256 << 10
	pipeLarge   = 1 << 20
	pipesLarge  = 16
	pipeTooTiny = 64 << 10
	pipesFree   = 64          // waiting in one pool
	pipeRetry   = time.Second // after the quota was used up
)

// ErrPipeQuota says that the kernel's quota of pipe memory is used up.
var ErrPipeQuota = errors.New("the kernel gave a pipe of less than 64 KiB: the user's pipe quota (fs.pipe-user-pages-soft) is used up")

// A Pipe is a kernel pipe, non-blocking at both ends.
type Pipe struct {
	In, Out int32 // written to, read from
	Size    int32 // bytes
}

// Pipes is a pool of pipes. A pipe in the pool is empty. One with bytes in it is never
// given back but discarded, because its bytes are another connection's.
type Pipes struct {
	Max     int64         // open pipes, in use and free
	Open    *atomic.Int64 // the number of open pipes; other threads read it
	Refused func(error)   // called with each error of making a pipe

	free  []*Pipe
	retry int64 // loop clock before which none is made
}

// Take returns an empty pipe, or nil if there is none. Now is the loop's clock, in ns.
func (p *Pipes) Take(now int64) *Pipe {
	if n := len(p.free); n > 0 {
		taken := p.free[n-1]
		p.free = p.free[:n-1]
		return taken
	}
	open := p.Open.Load()
	if open >= p.Max || now < p.retry {
		return nil
	}
	size := pipeSize
	if open < pipesLarge {
		size = pipeLarge
	}
	made, err := newPipe(size)
	if err != nil {
		p.retry = now + int64(pipeRetry)
		p.Refused(err)
		return nil
	}
	p.Open.Add(1)
	return made
}

// Put gives back a pipe, which is empty.
func (p *Pipes) Put(one *Pipe) {
	if len(p.free) >= pipesFree {
		p.Discard(one)
		return
	}
	p.free = append(p.free, one)
}

// Discard closes a pipe with what is in it.
func (p *Pipes) Discard(one *Pipe) {
	one.close()
	p.Open.Add(-1)
}

// Close closes the free pipes.
func (p *Pipes) Close() {
	for _, free := range p.free {
		p.Discard(free)
	}
	p.free = nil
}

func (p *Pipe) close() {
	_, _ = unix.Close(int(p.In)), unix.Close(int(p.Out))
}

// ProbePipe reports why no pipe can be had; nil: pipes can be had.
func ProbePipe() error {
	p, err := newPipe(pipeSize)
	if err == nil {
		p.close()
	}
	return err
}

func newPipe(want int) (*Pipe, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	p := &Pipe{Out: int32(fds[0]), In: int32(fds[1])}
	// The size that is read back shows a refusal.
	_, _ = unix.FcntlInt(uintptr(p.In), unix.F_SETPIPE_SZ, want)
	size, err := unix.FcntlInt(uintptr(p.In), unix.F_GETPIPE_SZ, 0)
	if err == nil && size < pipeTooTiny {
		err = ErrPipeQuota
	}
	if err != nil {
		p.close()
		return nil, err
	}
	p.Size = int32(size)
	return p, nil
}
