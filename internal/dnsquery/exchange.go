package dnsquery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// maxDatagram is what answers by UDP may have, in bytes: what passes everywhere
	// without fragments, which can be forged (DNS flag day 2020).
	maxDatagram = 1232
	// maxStray bounds the datagrams that are thrown away for one question.
	maxStray = 16
	// tryTimeout is for one server to answer one question, by UDP and then TCP.
	tryTimeout = 3 * time.Second
)

var (
	errStray = errors.New("none of its datagrams answers the question")
	errWrong = errors.New("it does not answer the question")
)

// Exchange asks server for the records of name and type: by UDP, and by TCP what is
// too large for that, or got lost. recursive asks it to find the answer elsewhere if
// need be. It takes 3 seconds at most. The answer may have any code; it belongs to
// the question.
func Exchange(ctx context.Context, server netip.AddrPort, name string, qtype uint16, recursive bool) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	q := new(dns.Msg).SetQuestion(dns.CanonicalName(name), qtype) // a random id
	q.RecursionDesired = recursive
	q.SetEdns0(maxDatagram, false)
	m, err := exchange(ctx, "udp", server, q)
	if err == nil && !m.Truncated {
		return m, nil
	}
	m, tcpErr := exchange(ctx, "tcp", server, q)
	switch {
	case tcpErr == nil:
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("server %s: %w, %w", server, err, tcpErr)
	}
	return nil, fmt.Errorf("server %s: %w", server, tcpErr)
}

// exchange uses a socket of its own: the kernel's choice of the port is half of what
// somebody who forges answers must guess.
func exchange(ctx context.Context, network string, server netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
	if network == "udp" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, tryTimeout/2)
		defer cancel()
	}
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

// readStream reads the one answer of a TCP connection, of at most 64 KiB by its
// length field.
func readStream(co *dns.Conn, q *dns.Msg) (*dns.Msg, error) {
	buf := make([]byte, dns.MaxMsgSize)
	n, err := co.Read(buf)
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
