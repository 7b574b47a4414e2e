package relay

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"sallyport/internal/hello"
	"sallyport/internal/nonblock"
	"sallyport/relay/buffer"
)

// conn is one client's connection and, once dialled, its backend's. It belongs
// to one loop and is touched by that loop's thread alone. While it is set up it
// has a coroutine (co); relaying it is this struct and nothing else, so it is
// kept small: an idle connection is this and two descriptors.
type conn struct {
	loop    *loop
	co      *coro // while in setup
	client  end
	backend end
	up      flow // client to backend
	down    flow // backend to client
	tls     *tlsSide

	addr  netip.AddrPort // the client's: its socket's, or the one in the PROXY header
	timer timer          // the deadline of the phase, or the idle check
	last  int64          // loop clock at the last progress

	limit Limit
	watch Watcher
	log   *record

	unsent int32 // bytes that the ends had not acknowledged when they were asked last
	listed int32 // place in its backend's list (evict.go), from 1; 0: in none

	phase   phase
	reason  Reason // why it is to end; set once, before the end
	mode    hello.Mode
	queued  bool // stands in a list of the loop
	bulk    bool // moved much when it was pumped last
	expired bool // the phase's deadline has passed
	guarded bool // the kernel watches the backend for vanishing
	marks   marks
}

// marks say in which of the counts that loops share a connection is. They are one byte:
// with four more a connection would take 288 bytes in place of 256.
type marks uint8

const (
	ofBalancer   marks = 1 << iota // addr is a sender's that must send a PROXY header: no client's
	inSource                       // among those of its source
	inShare                        // its place of limit is among those of its source
	amongRefused                   // among those refused that may still read why
)

func (m *marks) set(one marks)     { *m |= one }
func (m *marks) clear(one marks)   { *m &^= one }
func (m marks) has(one marks) bool { return m&one != 0 }

type phase uint8

const (
	waiting phase = iota // accepted, no byte yet: no coroutine either
	settingUp
	relaying
	parting // reported, and its ends are not closed yet (part.go)
	lingering
	closed
)

// end is one descriptor of a connection and what is known of it. The flags
// follow edge-triggered events: they say "worth trying", and only EAGAIN or a
// short read clears them.
type end struct {
	fd       int32
	readable bool
	writable bool
	hup      bool  // FIN, RST or error was seen: read on until the socket says so
	failed   bool  // an error was seen; a read returns what came before it
	reset    bool  // RST or error, or both directions are shut
	eof      bool  // the socket has said EOF
	broken   bool  // reading failed: nothing more comes, nothing more can be sent
	deaf     bool  // nothing more can be sent; what it sent before can still be read
	gone     bool  // the socket has reported an error: the peer is gone
	severed  bool  // its EOF is the end of a stream that was cut off
	known    uint8 // times in a row that it was reported readable, and was known to be (mute.go)
}

// flow is one direction.
type flow struct {
	bytes uint64
	chunk *buffer.Chunk // read, and not yet taken by the receiver
	pipe  *buffer.Pipe  // held only while bytes are in it
	piped int32
	full  uint8 // full reads in a row: from spliceAfter on it is spliced (with TLS: appetite)
	thin  uint8 // small splices in a row
	mode  relayMode
	ended ending
}

// ending is how a direction has come to its end.
type ending uint8

const (
	notYet ending = iota
	cut           // its sender was cut off, or its receiver is gone
	whole         // its sender ended it, and its end was passed on to its receiver
)

func (f *flow) over() bool { return f.ended != notYet }

// relayMode is how a direction moves bytes, for the metrics.
type relayMode uint8

const (
	copying relayMode = iota
	splicing
	crypting
	relayModes
)

func (m relayMode) String() string { return [...]string{"copy", "splice", "tls"}[m] }

// record is the access log's line of a connection; nil when the log is off.
type record struct {
	began      int64 // on the loop's clock
	serverName string
	app        string
	instance   string
	detail     string // more about a refusal
}

// detail notes more about a refusal for the access log.
func (c *conn) detail(text string) {
	if c.log != nil {
		c.log.detail = text
	}
}

// onEvents notes what epoll reported for one of the two ends.
func (e *end) onEvents(ev uint32) {
	if ev&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		if e.readable && e.known < muteAfter {
			e.known++
		}
		e.readable = true
	}
	if ev&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.hup = true
	}
	if ev&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.reset = true
	}
	if ev&unix.EPOLLERR != 0 {
		e.failed = true
	}
	if ev&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		e.writable = true
	}
}

// read reads what is there. n > 0: that many bytes. Otherwise e.eof or e.broken
// says why, or neither is set: come back when it is readable.
//
// A short read means that the socket is drained, which saves the read that would
// say EAGAIN; but not once a FIN was seen, because no further event would report
// the EOF behind the bytes.
func (e *end) read(p []byte) int {
	if !e.readable || e.eof || e.broken {
		return 0
	}
	n, errno := nonblock.Read(e.fd, p)
	switch {
	case errno == unix.EAGAIN:
		e.readable = false
		return 0
	case errno != 0 || n == 0 && e.severed:
		e.lost()
		return 0
	case n == 0:
		e.eof = true
		return 0
	case n < len(p) && !e.hup:
		e.readable = false
	}
	return n
}

// drained reports whether the socket has nothing to read, as a short read would show. An
// event is still to come for a FIN or a reset that the loop has not seen; urgent data,
// which TLS does not use, counts as nothing until more comes.
func (e *end) drained() bool {
	if e.hup {
		return false
	}
	if n, errno := nonblock.Unread(e.fd); n > 0 || errno != 0 {
		return false
	}
	e.readable = false
	return true
}

// write sends what the socket takes of p. Less than len(p) means: come back when
// it is writable, or e.deaf. A peer that reset the connection may have sent a
// last word before, so a failed write asks for a read.
func (e *end) write(p []byte) int {
	done := 0
	for done < len(p) && e.writable && !e.deaf {
		n, errno := nonblock.Send(e.fd, p[done:])
		switch errno {
		case 0:
			done += n
		case unix.EAGAIN:
			e.writable = false
		default:
			e.refused(errno)
		}
	}
	return done
}

// lost notes that reading has failed.
func (e *end) lost() { e.broken, e.deaf, e.gone = true, true, true }

// refused notes that writing has failed. The socket reports its error once: a read returns
// the bytes before it, then EOF. EPIPE is not such an error: it comes of a reset behind a
// FIN, and the stream that the FIN ended was complete.
func (e *end) refused(errno unix.Errno) {
	e.deafen()
	e.gone = true
	e.severed = e.severed || errno != unix.EPIPE
}

// deafen has nothing more be sent, and what is there be read.
func (e *end) deafen() { e.deaf, e.hup, e.readable = true, true, true }

// over reports whether nothing more will come from e.
func (e *end) over() bool { return e.eof || e.broken }
