package nameserver

import (
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"
)

// reply returns the answer to a message of client, or nil if it deserves none. The
// answer is in buf if that is large enough. A message must not end the process: after
// a panic there is no answer.
func (s *Server) reply(t transport, client netip.Addr, msg, buf []byte) (b []byte) {
	defer func() {
		if p := recover(); p != nil {
			s.metrics.ignored.Inc()
			s.reportBug(p)
			b = nil
		}
	}()
	q, rcode, ok := readQuery(msg)
	if !ok {
		s.metrics.ignored.Inc()
		return nil
	}
	limit := maxTCP
	if t == udp {
		limit = udpSize(q)
	}
	m := s.view.Load().answer(q, rcode)
	b, err := pack(m, limit, buf)
	if err == nil && t == udp && !s.limits.take(client, len(b)-len(msg), time.Since(s.began)) {
		s.metrics.limited.Inc()
		s.conns.invite(sourceOf(client), time.Now())
		cut(m)
		b, err = m.PackBuffer(buf)
	}
	if err != nil {
		panic(err) // the zones have only records that can be packed
	}
	s.metrics.answers[t][m.Rcode].Inc()
	return b
}

// reportBug logs a panic, once a minute: a client that has found a bug can cause it often.
func (s *Server) reportBug(p any) {
	now := int64(time.Since(s.began)) + int64(time.Minute) // never 0
	if last := s.bugLogged.Load(); (last == 0 || now-last >= int64(time.Minute)) && s.bugLogged.CompareAndSwap(last, now) {
		s.o.Log.Error("panic while answering a dns query, which gets no answer; report it as a bug", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}
