package customdomain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// An exchangeFunc sends a query to a server by "udp" or "tcp" and returns its
// answer, for which answers holds.
type exchangeFunc func(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error)

var _ exchangeFunc = exchange

const (
	// maxAnswer bounds an answer by TCP, in bytes. A record has up to 69, and eight
	// aliases in front of it up to 2,200.
	maxAnswer = 4096

	// maxStray bounds the datagrams that are thrown away for one query.
	maxStray = 16
)

var (
	errStray = errors.New("none of its datagrams answers the question")
	errWrong = errors.New("it does not answer the question")
	errLarge = fmt.Errorf("%w: the answer has more than %d bytes", ErrBroken, maxAnswer)
)

// exchange is the exchangeFunc of the network, on a socket of its own: the kernel's
// choice of the port is half of what somebody who forges answers must guess.
func exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
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
	if network == "tcp" {
		return readStream(co, q)
	}
	return readDatagram(co, q)
}

// readDatagram waits for the answer to q. What is none is no reason to stop: it may
// be forged, and the true one on its way (RFC 5452, 9.1).
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

// readStream reads the one answer of a TCP connection, unless it says that it is
// too long.
func readStream(co *dns.Conn, q *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, maxAnswer)
	n, err := co.Read(buf)
	if errors.Is(err, io.ErrShortBuffer) {
		return nil, errLarge
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

// readable unpacks b. Where it was truncated within a record, the question is
// enough.
func readable(m *dns.Msg, b []byte) bool { return m.Unpack(b) == nil || m.Truncated }

// answers tells whether m is an answer to q, and not to another question. One that
// refuses to answer may leave the question out.
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
