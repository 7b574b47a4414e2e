package dnsquery

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxDatagram bounds answers by UDP, in bytes: this size passes everywhere without
	// fragments, which can be forged (DNS flag day 2020).
	maxDatagram = 1232
	// maxStray bounds the datagrams that are discarded for one question.
	maxStray = 16
)

// ErrLarge means that an answer by TCP is longer than allowed.
var ErrLarge = errors.New("the answer is too large")

var (
	errStray = errors.New("no datagram from it answers the question")
	errWrong = errors.New("it does not answer the question")
)

// NewQuery returns the question for the records of name and type, with a random id and
// recursion desired.
func NewQuery(name string, qtype uint16) *dns.Msg {
	return new(dns.Msg).SetQuestion(dns.CanonicalName(name), qtype).SetEdns0(maxDatagram, false)
}

// ExchangeUDP sends q, which NewQuery made, to server and waits for the answer until ctx ends:
// give it a deadline. The answer may have any code, and may be truncated.
func ExchangeUDP(ctx context.Context, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	return exchange(ctx, "udp", server, q, func(co *dns.Conn) (*dns.Msg, error) { return readDatagram(co, q) })
}

// ExchangeTCP does the same by TCP. The answer is not truncated. The error is ErrLarge if it
// has more than maxAnswer bytes.
func ExchangeTCP(ctx context.Context, server netip.AddrPort, q *dns.Msg, maxAnswer int) (*dns.Msg, error) {
	return exchange(ctx, "tcp", server, q, func(co *dns.Conn) (*dns.Msg, error) { return readStream(co, q, maxAnswer) })
}

// exchange uses a socket of its own: the port that the kernel chooses is half of what a forger
// of answers must guess.
func exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg, read func(*dns.Conn) (*dns.Msg, error)) (*dns.Msg, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it only fails on a closed socket
	co := &dns.Conn{Conn: c}
	if err := co.WriteMsg(q); err != nil {
		return nil, err
	}
	return read(co)
}

// readDatagram waits for the answer to q. It skips datagrams that do not answer q: they may be
// forged, with the true answer on its way (RFC 5452, 9.1).
func readDatagram(co *dns.Conn, q *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, maxDatagram+1)
	for range maxStray {
		n, err := co.Read(buf)
		if err != nil {
			return nil, err
		}
		m := new(dns.Msg)
		if n <= maxDatagram && readable(m, buf[:n]) && answers(m, q) {
			return m, nil
		}
	}
	return nil, errStray
}

// readStream reads the answer of a TCP connection.
func readStream(co *dns.Conn, q *dns.Msg, maxAnswer int) (*dns.Msg, error) {
	buf := make([]byte, maxAnswer)
	n, err := co.Read(buf)
	if errors.Is(err, io.ErrShortBuffer) {
		return nil, ErrLarge
	}
	if err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if !readable(m, buf[:n]) || !answers(m, q) || m.Truncated {
		return nil, errWrong
	}
	return m, nil
}

// readable unpacks b and reports whether it could. If the answer was truncated within a
// record, the question is enough. A hostile answer must not end the process: a panic means
// that it cannot be read.
func readable(m *dns.Msg, b []byte) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	return m.Unpack(b) == nil || m.Truncated
}

// answers reports whether m answers q and not another question. A refusal may leave the
// question out.
func answers(m, q *dns.Msg) bool {
	if m.Id != q.Id || !m.Response || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	a, b := m.Question[0], q.Question[0]
	return len(m.Question) == 1 && a.Qtype == b.Qtype && a.Qclass == b.Qclass && dns.CanonicalName(a.Name) == b.Name
}
