package relay

// What a peer can make crypto/tls do, and its bounds.
//
// Bytes are the wrong measure of it: a record of one byte costs as much as one of a
// kilobyte (0.5 µs), a KeyUpdate, which brings nothing, twelve times that, and a padded
// record brings one byte for 16 KiB. crypto/tls goes on reading until it has something to
// give, so it is fed by turns: so many records and so many bytes for each time that a
// connection is pumped. What the socket gave beyond that stays in the wire.
//
// Records that bring nothing (KeyUpdate, tickets, pieces of messages, empty ones) are
// bounded besides: crypto/tls allows 16 in a row, and one byte between them begins a new
// row. No honest peer has use for more than a few in the life of a connection.

const (
	turnRecords = 64
	turnBytes   = readMost + 64<<10

	// A connection that was fed so many records is bulk, as is one that moved bulkSize.
	bulkRecords = turnRecords / 4

	// emptyRecords may bring nothing, and one more each emptyEvery.
	emptyRecords = 32
	emptyEvery   = 1e9 // ns

	// handshakeRecords is how many records a handshake may take. A hello alone may have
	// 819, and nobody needs ten for the rest.
	handshakeRecords = 1024
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

// pass tells how much of b may go on so that no more than most records end in it, and
// how many do.
func (r *borders) pass(b []byte, most int) (n, ended int) {
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
			ended++
		}
	}
	return n, ended
}

const recordHeader = 5

// empties counts the records that brought nothing.
type empties struct {
	ended int   // records that crypto/tls was fed since the last look
	used  int   // reads of it that gave something since then
	n     int   // records that brought nothing
	since int64 // on the loop's clock: when n was last reduced
}

// tooMany looks at a moment at which crypto/tls has used up what it was fed.
func (e *empties) tooMany(now int64) bool {
	if past := (now - e.since) / emptyEvery; past > 0 {
		e.n = int(max(0, int64(e.n)-past))
		e.since += past * emptyEvery
	}
	// A record may be read in two parts, and one that was fed during the handshake be
	// read after it: nobody earns anything by that.
	e.n += max(0, e.ended-e.used)
	e.ended, e.used = 0, 0
	return e.n > emptyRecords
}

// left is how many more may bring nothing.
func (e *empties) left() int { return emptyRecords - e.n }
