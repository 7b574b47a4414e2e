package relay

import (
	"bytes"
	"net/netip"

	"sallyport/internal/hello"
	"sallyport/internal/proxyproto"
	"sallyport/relay/buffer"
)

// setup is the state of a connection between its first byte and its first
// relayed byte. It lives in a coroutine, which the connection leaves when it is
// set up.
type setup struct {
	c *conn
	l *loop

	server     netip.AddrPort // the PROXY header's destination, if there was one
	tlvs       proxyproto.TLVs
	in         *buffer.Chunk // what the client has sent and no step has used up yet
	parser     hello.Parser
	serverName []byte // for the PROXY header: the hello may be gone by then
	decision   Decision
	lookup     uint64 // which lookup is under way; 0: none
	dialing    dialing
	chosen     *Backend
	instance   *tlsSide // to the chosen backend, if it is encrypted again
	header     []byte   // PROXY header for backends that are encrypted again
	postgres   bool     // the client sent an SSLRequest
	handshake  int      // how many bytes the client's TLS handshake may take …
	records    int      // … and how many records
	sealed     bool     // the TLS handshake has begun: no plaintext alert any more
	alert      int      // to send if the setup fails; 0: the one of its Reason
	late       Reason   // what the end of the present deadline means
}

// run is the table of contents: what happens to a connection, in order.
func (s *setup) run() Reason {
	s.begin()
	for _, step := range [...]func(*setup) Reason{
		(*setup).readProxyHeader,
		(*setup).answerSSLRequest,
		(*setup).readHello,
		(*setup).route,
		(*setup).dial,
		(*setup).acceptTLS,
		(*setup).sendPreface,
	} {
		if r := step(s); r != goOn {
			return r
		}
	}
	return goOn
}

// begin starts the hello's deadline. It was armed when the connection was
// accepted: a client that sends nothing must go as well.
func (s *setup) begin() {
	s.late = HelloTimeout
	s.in = s.l.chunks.Get(0)
}

// route asks for the decision and makes it the connection's.
func (s *setup) route() Reason {
	h, d, c := s.parser.Hello(), &s.decision, s.c
	if c.log != nil {
		c.log.serverName = string(h.ServerName)
	}
	s.l.engine.opts.Route(h, c.addr, d)
	if d.Later != nil {
		if r := s.decideLater(); r != goOn {
			return r
		}
	}
	c.mode = d.Mode
	if c.log != nil {
		c.log.app, c.log.detail = d.App, d.Detail
	}
	if d.Refuse != goOn {
		return d.Refuse
	}
	switch {
	case d.N == 0:
		return NoHealthyInstance
	case d.Mode != hello.Passthrough && d.TLS == nil:
		return Internal // fail closed: never pass through what should end here
	case d.Mode != hello.Passthrough && h.Entries > helloEntries:
		c.detail("its lists have more elements than any known client sends")
		return HelloTooLarge
	case d.Mode == hello.Passthrough && (d.Backends[0].TLS != nil || d.Backends[1].TLS != nil || d.Backends[2].TLS != nil):
		return Internal // it is TLS already, from the client to the instance
	}
	if d.Limit != nil {
		if r := s.takePlace(); r != goOn {
			return r
		}
	}
	if d.Backends[0].SendProxy || d.Backends[1].SendProxy || d.Backends[2].SendProxy {
		s.serverName = bytes.Clone(h.ServerName)
	}
	return goOn
}

// takePlace takes one of the places of the decision's Limit.
func (s *setup) takePlace() Reason {
	r := s.c.takePlace(s.decision.Limit, s.decision.Share)
	if r == SourceLimit && s.c.log != nil {
		s.c.log.detail = "this client address has its share of the app's connections"
	}
	return r
}

// wait gives the thread back to the loop until something happens to the
// connection. A Reason other than goOn ends the setup. The caller has looked for what
// it waits for: only then does a deadline that has passed count. What comes in the
// same round as the deadline is in time.
func (s *setup) wait() Reason {
	c := s.c
	if c.expired {
		return s.late
	}
	c.co.yield(struct{}{})
	return c.reason // goOn, or it was ended from outside
}

// until arms the deadline of the next phase and says what missing it means. The
// deadline of the phase before may have passed in the round that ended it.
func (s *setup) until(kind timerKind, late Reason) {
	s.l.arm(&s.c.timer, kind)
	s.late, s.c.expired = late, false
}

// more reads what the client has sent behind what is already there, and waits
// for it. The caller bounds how much that may be.
func (s *setup) more() Reason {
	c := s.c
	for {
		if len(s.in.Free()) == 0 {
			s.in = s.l.chunks.Double(s.in)
		}
		if n := c.client.read(s.in.Free()); n > 0 {
			s.in.Fill(n)
			return goOn
		}
		if c.client.over() {
			return s.gone()
		}
		if c.client.readable {
			continue
		}
		if r := s.wait(); r != goOn {
			return r
		}
	}
}

// gone is the reason for a client that left during setup.
func (s *setup) gone() Reason {
	if s.c.client.broken {
		return ClientReset
	}
	return ClientGone
}

// reply sends a few bytes in the clear; a fresh socket always has room for them.
func (s *setup) reply(b []byte) Reason {
	if s.c.client.write(b) < len(b) {
		return ClientGone
	}
	return goOn
}

// toBackend sends b and waits until it is taken.
func (s *setup) toBackend(b []byte) Reason {
	e := &s.c.backend
	for {
		b = b[e.write(b):]
		switch {
		case len(b) == 0:
			return goOn
		case e.deaf:
			return InstanceReset
		}
		if r := s.wait(); r != goOn {
			return r
		}
	}
}

// conclude makes the setup's outcome final: the connection is relayed from now on, or
// refused.
func (s *setup) conclude() {
	c := s.c
	s.settle(false)
	if c.reason != goOn {
		s.l.chunks.Put(s.in)
		c.refuse(s.alertFor(c.reason))
		return
	}
	if c.tls == nil {
		c.up.chunk = s.in // the hello, and what came behind it
		c.count(&c.up, copying, s.in.Len())
	}
	c.phase = relaying
	c.last = s.l.now
	if c.tls != nil && c.tls.wire.ticket != nil {
		s.l.arm(&c.timer, timerTicket)
	} else {
		s.l.arm(&c.timer, timerIdle)
	}
}

// alertFor is the plaintext alert that goes with a refusal. After the ServerHello
// there is none: crypto/tls has sent its own, or the client would not understand it.
func (s *setup) alertFor(r Reason) int {
	switch {
	case s.sealed:
		return alertNone
	case s.alert != 0:
		return s.alert
	}
	return r.alert()
}
