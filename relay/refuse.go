package relay

import "sallyport/internal/nonblock"

// plainHTTP answers a client that speaks HTTP to the TLS port.
const plainHTTP = "HTTP/1.1 400 Bad Request\r\n" +
	"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 45\r\n\r\n" +
	"This port expects TLS. Use https:// instead.\n"

// inTheClear is the answer, in its own protocol, to a client that does not speak TLS and
// whose protocol is known; else "".
func (r Reason) inTheClear() string {
	switch r {
	case PlainHTTP:
		return plainHTTP
	case PostgresPlain:
		return plainPostgres
	default:
		return ""
	}
}

// lingerBytes bounds what a refused client may still send.
const lingerBytes = 128 << 10

// refuse sends the client the reason, if that is still possible, and ends the connection:
// an alert and FIN, then what the client has under way is read and dropped for a
// moment. Closing at once would answer it with RST, and RST takes the alert away
// that the client has not read. That is what happens while too many others linger:
// a refused client can come again at once, and each of them holds a descriptor.
func (c *conn) refuse(alert int) {
	c.report()
	c.leaveBackend()
	c.leavePlace()
	c.releaseSource()
	l := c.loop
	if c.backend.fd >= 0 {
		l.reset(&c.backend) // it has got nothing of the client's
	}
	if answer := c.reason.inTheClear(); answer != "" {
		c.client.write([]byte(answer))
	} else if alert != alertNone {
		c.client.write(plaintextAlert(alert))
	}
	c.phase = lingering
	c.up.bytes = 0
	if c.client.broken || l.engine.hurry.Load() {
		c.close()
		return
	}
	if !c.mayLinger() {
		l.stats.reset.Add(1)
		nonblock.ResetOnClose(c.client.fd)
		c.close()
		return
	}
	nonblock.ShutdownWrite(c.client.fd)
	l.arm(&c.timer, timerLinger)
	c.linger()
}

// mayLinger takes one of the places for refused clients.
func (c *conn) mayLinger() bool {
	e := c.loop.engine
	if e.lingering.Add(1) > int64(e.opts.MaxLingering) {
		e.lingering.Add(-1)
		return false
	}
	c.marks.set(amongRefused)
	return true
}

// linger drops what a refused client sends, until it is done.
func (c *conn) linger() {
	l := c.loop
	for c.client.readable && !c.client.over() && c.up.bytes < lingerBytes {
		c.up.bytes += uint64(c.client.read(l.in[:readSize]))
	}
	if c.client.over() || c.up.bytes >= lingerBytes {
		c.close()
	}
}

// plaintextAlert is an alert record: type 21, version 1.2 as in every record,
// length 2, level fatal (RFC 8446, 5.1 and 6).
func plaintextAlert(alert int) []byte { return []byte{21, 3, 3, 0, 2, 2, byte(alert)} }
