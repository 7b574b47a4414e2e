package hello

// Records (RFC 8446, 5.1) carry the message in pieces:
//
//	stream   | 22 3.x len | piece …      | 22 3.x len | piece …      | early data …
//	message               | 1 len body … |            | … body       |
//
// Parse walks the records once, each call going on where the last one stopped,
// and refuses at the first byte that cannot belong to a ClientHello. When the
// last record is there it joins the pieces, if there are several, and only then
// looks into the message. So the work is linear in the stream however it is cut.

import "encoding/binary"

const (
	recordHeader = 5
	maxRecord    = 1 << 14 // RFC 8446, 5.1

	messageHeader = 4
	maxBody       = 1 << 16 // maxHandshake of crypto/tls

	// spareRecords is how many bytes of record headers the largest hello may have: 819
	// records. In full records it needs 5 of them. A smaller one may have more.
	spareRecords = 4096
)

// MaxStream is the most bytes that a hello's records may take. A stream of
// MaxStream bytes is always decided.
const MaxStream = messageHeader + maxBody + spareRecords

const (
	typeChangeCipherSpec = 20
	typeHandshake        = 22
	typeApplicationData  = 23

	typeClientHello = 1
)

// Parser finds the ClientHello in a growing stream. The zero value is ready; it
// serves one connection and is not for concurrent use.
type Parser struct {
	record int                 // offset of the first record that is not whole yet
	joined int                 // message bytes in the records before it
	header [messageHeader]byte // of the message
	known  int                 // bytes of header that have come

	hello Hello
	done  bool
	err   error
}

// Parse looks at stream, all bytes received so far: each call must pass the
// bytes of the call before, and more. It returns false and no error if the
// hello is not complete. Any error is an [*Error] and final, and so is true.
func (p *Parser) Parse(stream []byte) (done bool, err error) {
	if p.done || p.err != nil {
		return p.done, p.err
	}
	whole, refusal := p.scan(stream)
	if whole {
		refusal = p.hello.decode(p.message(stream[:p.record]))
	}
	if refusal != nil { // assigned only here: a nil *Error is not a nil error
		p.hello, p.err = Hello{}, refusal
		return false, p.err
	}
	p.hello.Length = p.record
	p.done = whole
	return whole, nil
}

// Hello returns what was parsed; it has meaning once Parse has returned true.
func (p *Parser) Hello() *Hello { return &p.hello }

// scan walks the records that have arrived and reports whether the last one of
// the message is among them.
func (p *Parser) scan(stream []byte) (whole bool, err *Error) {
	for {
		n, err := p.recordLength(stream[p.record:])
		if n == 0 || err != nil {
			return false, err
		}
		start := p.record + recordHeader
		end := start + n
		arrived := stream[start:min(end, len(stream))]
		if err := p.readHeader(arrived); err != nil {
			return false, err
		}
		missing := p.messageLength() - p.joined - n // after this record
		if p.known == messageHeader && missing < 0 {
			return false, errTrailing
		}
		if len(arrived) < n {
			return false, nil
		}
		p.record, p.joined = end, p.joined+n
		if p.known == messageHeader && missing == 0 {
			return true, nil
		}
	}
}

// recordLength checks the record header at the start of rest and returns the
// length of the record's content, 0 if the header has not come.
func (p *Parser) recordLength(rest []byte) (int, *Error) {
	if p.record+recordHeader >= MaxStream {
		return 0, ErrTooLarge
	}
	first := p.record == 0
	switch {
	case len(rest) == 0:
		return 0, nil
	case rest[0] != typeHandshake:
		if first && (rest[0] < typeChangeCipherSpec || rest[0] > typeApplicationData) {
			return 0, ErrNotTLS
		}
		return 0, errRecordType
	case len(rest) == 1:
		return 0, nil
	case rest[1] != 3:
		if first {
			return 0, ErrNotTLS
		}
		return 0, errRecordVersion
	case len(rest) < recordHeader:
		return 0, nil
	}
	n := int(binary.BigEndian.Uint16(rest[3:]))
	switch {
	case n == 0: // RFC 8446, 5.1 forbids it; unlimited, it would be free work
		return 0, errRecordEmpty
	case n > maxRecord:
		return 0, errRecordOverflow
	case p.record+recordHeader+n > MaxStream:
		return 0, ErrTooLarge
	}
	return n, nil
}

// readHeader takes what is still unknown of the message header from content,
// the arrived part of the current record, and checks it.
func (p *Parser) readHeader(content []byte) *Error {
	for p.known < messageHeader && p.known-p.joined < len(content) {
		p.header[p.known] = content[p.known-p.joined]
		p.known++
	}
	if p.known > 0 && p.header[0] != typeClientHello {
		return errMessageType
	}
	if p.known == messageHeader && p.messageLength() > messageHeader+maxBody {
		return ErrTooLarge
	}
	return nil
}

// messageLength returns the length of the message with its header. It has
// meaning when the whole header is known.
func (p *Parser) messageLength() int {
	return messageHeader + int(p.header[1])<<16 + int(p.header[2])<<8 + int(p.header[3])
}

// message returns the content of records, which are whole and checked: in place
// if there is one record, else joined. The size follows from what has arrived.
func (p *Parser) message(records []byte) []byte {
	if len(records) == recordHeader+p.joined {
		return records[recordHeader:]
	}
	message := make([]byte, 0, p.joined)
	for len(records) > 0 {
		end := recordHeader + int(binary.BigEndian.Uint16(records[3:]))
		message = append(message, records[recordHeader:end]...)
		records = records[end:]
	}
	return message
}
