package relay

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// The end of a TLS handshake, as clients without TCP_NODELAY need it (Python, Java,
// OpenSSL: the default). crypto/tls sends the session ticket of TLS 1.3 with its own
// Finished. That has cost two things:
//
//   - Nothing was left to send after the client's Finished, so its acknowledgement was
//     delayed for 40 ms, and Nagle's algorithm held the client's request for as long. The
//     kernel is asked to acknowledge at once; it is the same with a resumed session of TLS
//     1.2, whose last message is the client's as well.
//   - A client that writes and closes, and never reads, had the ticket unread then. For
//     that its kernel sends RST, drops what it has not sent, and the instance sees a reset.
//
// To send the ticket when the Finished has come, as OpenSSL does, is not enough: on a path
// with 60 ms of round trip 7 of 32 clients that wrote and closed lost bytes.
//
// So the ticket is kept back, and goes with the first bytes that the client gets: one
// that reads, reads it, and one that only writes has nothing unread. A client that sends
// nothing may wait for the ticket itself; after ticketWait it has it.

// ticketWait is more than a round trip: a request that is under way comes first.
const ticketWait = time.Second

// finishedSizes are the bodies of the records with a server's Finished in TLS 1.3: four
// bytes of head, the hash, the record's type, the tag.
var finishedSizes = [...]int{4 + 32 + 1 + 16, 4 + 48 + 1 + 16}

// keepTicket keeps the ticket at the end of p, which crypto/tls writes in a handshake,
// and returns what is before it. It is encrypted, but known by its place and size: no
// record follows it, and a flight without one ends with the Finished. The type of an
// encrypted record is 23 (RFC 8446, 5.2), which no handshake of TLS 1.2 has.
func (w *wire) keepTicket(p []byte) []byte {
	const head, encrypted = 5, 23
	last := 0
	for next := 0; next < len(p); {
		last = next
		if len(p)-next < head {
			return p
		}
		next += head + int(p[next+3])<<8 + int(p[next+4])
		if next > len(p) {
			return p
		}
	}
	if len(p) == 0 || p[last] != encrypted {
		return p
	}
	for _, size := range finishedSizes {
		if len(p)-last == head+size {
			return p
		}
	}
	w.ticket = bytes.Clone(p[last:])
	return p[:last]
}

// sendTicket has the ticket sent, if it was kept: records must go in their order.
func (w *wire) sendTicket() {
	if w.ticket != nil {
		w.put(w.ticket)
		w.ticket = nil
	}
}

// waitedForTicket sends the ticket to a client that has sent nothing.
func (c *conn) waitedForTicket() {
	if t := c.tls; t != nil && c.up.bytes == 0 && t.wire.ticket != nil {
		t.wire.sendTicket()
		t.wire.flush()
	}
	c.loop.arm(&c.timer, timerIdle)
}

// acknowledge has the kernel acknowledge what was received, now and until it has
// something to send.
func acknowledge(fd int32) { nonblock.SetInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) }
