package load

import (
	"encoding/binary"
	"time"

	"sallyport/bench/backend"
)

// requests sends a request and waits for its echo.
type requests struct{ request []byte }

func (j *requests) begin(c *conn) {
	c.need = len(j.request)
	c.send(j.request)
}

func (j *requests) received(c *conn, p []byte) {
	if c.need == 0 || len(p) > c.need {
		c.g.fail(c, errSurplus)
		return
	}
	c.need -= len(p)
	if c.need == 0 {
		c.g.done(c)
	}
}

func (*requests) drained(*conn) bool { return false }
func (*requests) ended(*conn) bool   { return false }

// connects makes a connection for each request; without one it is done when the
// connection is up.
type connects struct {
	request []byte
	reply   int
}

func (j *connects) begin(c *conn) {
	if len(j.request) == 0 {
		j.drained(c)
		return
	}
	c.need = j.reply
	c.send(j.request)
}

func (j *connects) received(c *conn, p []byte) {
	if c.need -= len(p); c.need < 0 {
		c.g.fail(c, errSurplus)
	}
}

// drained ends an operation without a request. In TLS 1.3 the ticket comes after the
// handshake (RFC 8446 section 4.6.1): while there is none, the connection waits for it.
func (j *connects) drained(c *conn) bool {
	if len(j.request) == 0 && !c.g.l.tls.lacksTicket() {
		c.g.finish(c)
	}
	return false
}

func (*connects) ended(c *conn) bool {
	if c.need != 0 {
		return false
	}
	c.g.finish(c)
	return true
}

// bulk moves bytes in one direction without end. With a limit, begin is called for each
// piece.
type bulk struct {
	command []byte
	upload  bool
}

func (j *bulk) begin(c *conn) {
	c.began = 0
	if c.need == 0 {
		c.need = 1 // it has begun, and has no end
		c.send(j.command)
	}
	if c.g.limited() { // it stands in line for its next piece
		c.g.allow(c)
		c.g.free.push(c)
	}
	if c.state == open {
		c.g.l.later(c)
	}
}

// received has copied what it only counts, as a real client does. Dropping it in the kernel
// (MSG_TRUNC) halves the generator's cost, but then the kernel does the receiver's work
// in the sender: the proxy was charged 448 to 630 ms a GB instead of 304 to 430.
func (j *bulk) received(c *conn, p []byte) { c.g.l.counters.bytes.Add(uint64(len(p))) }

func (j *bulk) drained(c *conn) bool {
	if !j.upload || c.need == 0 || !c.writable {
		return false
	}
	zeros := c.g.l.zeros
	zeros = zeros[:min(len(zeros), c.allowed)]
	if len(zeros) == 0 {
		return false
	}
	c.allowed -= len(zeros)
	c.send(zeros)
	// With TLS, or with a part kept in c.out, this is ahead of the socket by at most
	// one piece.
	c.g.l.counters.bytes.Add(uint64(len(zeros)))
	return true
}

func (*bulk) ended(*conn) bool { return false }

// idles makes one request and then nothing.
type idles struct{ requests }

func (j *idles) received(c *conn, p []byte) {
	c.need -= len(p)
	switch {
	case c.need < 0:
		c.g.fail(c, errSurplus)
	case c.need == 0:
		c.g.l.record(c.began, c.g.l.now())
		c.began = 0
	}
}

// trickles receives messages that say when they were due.
type trickles struct {
	command []byte
	size    int
}

func (j *trickles) begin(c *conn) {
	c.due = c.g.l.now() + int64(c.g.interval)
	c.began = 0
	c.send(j.command)
}

func (j *trickles) received(c *conn, p []byte) {
	for len(p) > 0 {
		n := min(j.size-len(c.part), len(p))
		message := p[:n]
		if len(c.part) > 0 || n < j.size {
			c.part = append(c.part, message...)
			message = c.part
		}
		p = p[n:]
		if len(message) < j.size {
			return
		}
		c.part = c.part[:0]
		l := c.g.l
		late := time.Now().UnixNano() - int64(binary.BigEndian.Uint64(message))
		now := l.now()
		l.record(now-late, now)
		c.due = now - late + int64(c.g.interval)
	}
}

func (*trickles) drained(*conn) bool { return false }
func (*trickles) ended(*conn) bool   { return false }

// newGroups makes the groups of a workload.
func (l *loop) newGroups() {
	o := l.opts
	request := make([]byte, o.Size)
	if o.Size > 0 {
		request[0] = byte(backend.Echo)
	}
	main := &group{size: l.share.connections, rate: l.share.rate}
	switch o.Workload {
	case Connect:
		main.churn = true
		if o.Size > 0 {
			cmd := backend.Command{Mode: backend.Reply, Request: o.Size, Size: o.ReplySize}.Append(nil)
			request = append(cmd, make([]byte, o.Size-len(cmd))...)
		}
		main.job = &connects{request: request[:o.Size], reply: o.ReplySize}
	case Download:
		main.job = &bulk{command: backend.Command{Mode: backend.Download}.Append(nil)}
		main.limit(l.share.bulkRate)
	case Upload:
		main.job = &bulk{command: backend.Command{Mode: backend.Upload}.Append(nil), upload: true}
		main.limit(l.share.bulkRate)
	case Idle:
		main.idle = true
		main.job = &idles{requests{request}}
	case Trickle:
		cmd := backend.Command{Mode: backend.Trickle, Size: o.Size, Interval: o.Interval}
		main.interval = o.Interval
		main.job = &trickles{command: cmd.Append(nil), size: o.Size}
	default:
		main.job = &requests{request}
	}
	l.groups = []*group{main}
	if o.Workload == Mixed && l.share.bulk > 0 {
		download := backend.Command{Mode: backend.Download}
		beside := &group{size: l.share.bulk, job: &bulk{command: download.Append(nil)}}
		beside.limit(l.share.bulkRate)
		l.groups = append(l.groups, beside)
	}
	for _, g := range l.groups {
		g.l, g.conns = l, map[*conn]struct{}{}
	}
}
