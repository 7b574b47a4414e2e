package load

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The limit of bulk. Downloads that go as fast as they can take all of the generator's
// own CPU, and then the latency of a request beside them is that of the generator's
// queue: nginx with 64 KiB buffers, which is slow at bulk, had a p99 of 7.6 ms, and with
// 512 KiB one of 1.1 s. So a limit makes what every proxy has to move the same.
//
// It is a schedule like that of requests. Each operation of it allows one connection
// one piece, the next connection the next one, so that each has its share. A download
// reads no more than it is allowed and leaves the rest to the peer's window; an upload
// writes no more. A piece is a whole read, because what costs is to wake up for it: at
// 320 MB/s over 16 downloads the generator spent 743 to 771 ms a GB, with half a read
// 976 to 1,237; without a limit, when it never sleeps, 234. Where the share is small, a
// piece is what is due in pieceTime.
//
// What a connection could not move remains allowed, up to what is due in savedTime: it
// catches up after a stall, but not with a flood that is a workload of its own.
//
// Its receive buffer is of a fixed size. The kernel would let it grow to megabytes (6 to
// 40 MB in 16 downloads), and all buffers on the way to the peer with it: to fill them is
// a flood at the start, which delayed requests until after the counting had begun. In
// runs of 2 s there were 11 to 30 bursts of requests later than 5 ms, now there are 4 to 7.

const (
	maxPiece  = readSize
	window    = 2 * maxPiece // the kernel doubles it, for its own bookkeeping
	pieceTime = 100 * time.Millisecond
	savedTime = 2 * pieceTime
)

// limit makes the connections of g, which do bulk, move rate bytes a second, all
// together; 0 is as fast as they go.
func (g *group) limit(rate float64) {
	if rate == 0 || g.size == 0 {
		return
	}
	share := rate / float64(g.size)
	g.piece = int(max(min(share*pieceTime.Seconds(), maxPiece), 1))
	g.saved = max(int(share*savedTime.Seconds()), g.piece)
	g.rate = rate / float64(g.piece)
}

// limited reports whether g does bulk with a limit.
func (g *group) limited() bool { return g.piece > 0 }

// restrain holds c, which is up, until it is allowed its first piece. It reports whether
// that was possible; if not, c has failed.
func (g *group) restrain(c *conn) bool {
	c.allowed = 0
	err := unix.SetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_RCVBUF, window)
	if err != nil {
		g.fail(c, os.NewSyscallError("setsockopt", err))
	}
	return err == nil
}

// allow allows c another piece.
func (g *group) allow(c *conn) { c.allowed = min(c.allowed+g.piece, g.saved) }
