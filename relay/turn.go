package relay

// The bounds of what a peer can make crypto/tls do.
//
// Bytes are the wrong measure of it: a record of one byte costs as much as one of a
// kilobyte (0.5 µs), a KeyUpdate, which brings nothing, twelve times that, and a padded
// record brings one byte for 16 KiB. crypto/tls goes on reading until it has something to
// give, so it is fed by turns: so many records and so many bytes for each time that a
// connection is pumped. What the socket gave beyond that stays in the wire.
//
// Records that bring nothing (KeyUpdate, tickets, pieces of messages, empty ones) are
// bounded besides: crypto/tls allows 16 in a row, and one byte between them begins a new
// row. No honest peer has use for more than a few in the life of a connection. Large ones
// count for several: in 64 KiB, a message can have crypto/tls go through 30,000 elements,
// for 10 ms, before it sees that the message was not asked for.
//
// A handshake is bounded as a whole, for the same reasons.

const (
	turnRecords = 64
	turnBytes   = readMost + 64<<10

	// A connection that was fed so many records is bulk, as is one that moved bulkSize.
	bulkRecords = turnRecords / 4

	// emptyRecords may bring nothing, and one more each emptyEvery. Each emptyBytes of
	// them count as one more: a ticket has some hundred, a KeyUpdate 27.
	emptyRecords = 32
	emptyEvery   = 1e9 // ns
	emptyBytes   = 512

	// helloEntries is how many elements the lists of a hello may have, where TLS ends here.
	// Browsers send 60, Java 110; to go through 1,000 takes as long as the handshake.
	helloEntries = 1024

	// handshakeRecords is how many records of a handshake may follow the client's hello,
	// which may come in one for each byte: its stream is bounded. Nobody needs ten.
	handshakeRecords = 1024

	// handshakeBytes is how many may follow the hello: those of a second hello, if the
	// first had no key share that we know. certificateBytes is for clients that are asked
	// for a certificate, as crypto/tls has it.
	handshakeBytes   = 8 << 10
	certificateBytes = 256 << 10
)

// turn is what crypto/tls has done since the connection was last pumped.
type turn struct {
	records, bytes int // fed to it
	made           int // records that it made, at least
}

// over reports whether it is fed no more.
func (t turn) over() bool { return t.records >= turnRecords || t.bytes >= turnBytes }

// heavy reports whether that was as much work as bulk is.
func (t turn) heavy() bool {
	return t.records >= bulkRecords || t.bytes >= bulkSize || t.made >= bulkRecords
}

// borders follows the borders of TLS records in a stream (RFC 8446, 5.1), of which it
// sees one piece after the other.
type borders struct {
	left   int32 // bytes of the present record's content that are still to come
	length uint16
	header uint8 // bytes of its header that have come
}

// pass returns how much of b may go on so that no more than most records end in it, how
// many do, and where the last of them ends.
func (r *borders) pass(b []byte, most int) (n, ended, last int) {
	for n < len(b) && ended < most {
		if r.header < recordHeader {
			r.length = r.length<<8 | uint16(b[n]) // the last two bytes of the header stay
			r.header++
			n++
			r.left = int32(r.length)
		} else {
			m := min(int(r.left), len(b)-n)
			r.left -= int32(m)
			n += m
		}
		if r.header == recordHeader && r.left == 0 {
			r.header = 0
			ended, last = ended+1, n
		}
	}
	return n, ended, last
}

const recordHeader = 5

// empties counts the records that brought nothing.
type empties struct {
	borders
	ended int // records that crypto/tls was fed since the last look …
	bytes int // … of so many bytes …
	open  int // … behind which so many of another one have come
	used  int // reads of it that gave something since then …
	gave  int // … so many bytes

	n     int   // records that brought nothing
	since int64 // on the loop's clock: when n was last reduced
}

// feed returns how much of b crypto/tls may be fed, so that no more than most records end.
func (e *empties) feed(b []byte, most int) (n, ended int) {
	n, ended, last := e.pass(b, most)
	if ended > 0 {
		e.ended, e.bytes, e.open = e.ended+ended, e.bytes+e.open+last, 0
	}
	e.open += n - last
	return n, ended
}

// tooMany looks at a moment at which crypto/tls has used up what it was fed.
func (e *empties) tooMany(now int64) bool {
	if past := (now - e.since) / emptyEvery; past > 0 {
		e.n = int(max(0, int64(e.n)-past))
		e.since += past * emptyEvery
	}
	// A record may be read in two parts, and one that was fed during the handshake be
	// read after it: a peer gains nothing by that.
	if empty := e.ended - e.used; empty > 0 {
		e.n += empty + max(0, e.bytes-e.gave)/emptyBytes
	}
	e.ended, e.bytes, e.used, e.gave = 0, 0, 0, 0
	return e.n > emptyRecords
}

// left is how many more may bring nothing.
func (e *empties) left() int { return emptyRecords - e.n }

// total is what crypto/tls was fed if nothing was checked.
func (e *empties) total() int { return e.bytes + e.open }
