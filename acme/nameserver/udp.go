package nameserver

import (
	"context"
	"encoding/binary"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// errorPause is the pause after a failure of a socket, so that one that lasts costs nothing.
const errorPause = 100 * time.Millisecond

// lastWrite bounds the last answer at the end.
const lastWrite = time.Second

// maxControl is room for the kernel's data about a datagram: its destination (up to
// 20 bytes) and how many were lost (4), each after a header of 16.
const maxControl = 128

// serveUDP answers datagrams, one after the other, until ctx ends. One loop is enough:
// most of a query's time is the kernel's.
func (s *Server) serveUDP(ctx context.Context, c *net.UDPConn) {
	// The end ends reading. A query that was read is still answered, unless the network
	// takes nothing: a link that is down may keep the socket's buffer full.
	defer context.AfterFunc(ctx, func() {
		c.SetWriteDeadline(time.Now().Add(lastWrite)) //nolint:errcheck // it only fails on a closed socket
		c.SetReadDeadline(time.Unix(1, 0))            //nolint:errcheck // the same
	})()
	var (
		in   = make([]byte, maxQuery)
		out  = make([]byte, maxTCP) // an answer may be longer before it is cut
		oob  = make([]byte, maxControl)
		lost uint32 // as the kernel counts
	)
	for failing := false; ; {
		n, controls, flags, client, err := c.ReadMsgUDPAddrPort(in, oob)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if !failing {
				s.o.Log.Warn("cannot receive dns queries by udp; trying again", "listen", c.LocalAddr(), "err", err)
			}
			failing = true
			pause(ctx, errorPause)
			continue
		}
		failing = false
		source, total := readControl(oob[:controls])
		if total != 0 { // absent before the first loss; it wraps
			s.metrics.overflowed.Add(float64(total - lost))
			lost = total
		}
		if flags&unix.MSG_TRUNC != 0 {
			s.metrics.ignored.Inc()
			continue
		}
		b := s.reply(udp, client.Addr(), in[:n], out)
		if b == nil {
			continue
		}
		if _, _, err := c.WriteMsgUDPAddrPort(b, source, client); err != nil {
			s.metrics.unsent.Inc() // port 0, no route, a firewall: the sender's affair
		}
	}
}

// readControl reads the control messages of a datagram. source makes an answer leave from
// the address that the query went to, where a socket has several: clients believe no
// other. It is within oob. lost is how many datagrams the socket has lost since it was
// opened, 0 if the kernel does not say.
func readControl(oob []byte) (source []byte, lost uint32) {
	for len(oob) >= unix.SizeofCmsghdr { // the parser reads as much without looking
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return source, lost
		}
		whole := oob[:len(oob)-len(rest)]
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			clear(data[:4]) // the interface: the way back is the routing table's to choose
			source = whole
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			clear(data[16:20])
			source = whole
		case h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
			lost = binary.NativeEndian.Uint32(data)
		}
		oob = rest
	}
	return source, lost
}
