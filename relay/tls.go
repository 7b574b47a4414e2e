package relay

import (
	"context"
	"crypto/tls"
	"time"

	"sallyport/internal/hello"
)

// TLS inside the loop: its handshake here, on wire.go's connection; tlsflow.go relays.

// tlsSide is the client's side of a connection that is terminated here, or the
// instance's side of one that is encrypted again.
type tlsSide struct {
	conn  *tls.Conn
	wire  wire
	means *lastWords
	over  bool // the peer has said its last word …
	clean bool // … and it was a close_notify
	bye   bool // ours is in the buffer
	limit int  // the most bytes that a record to the peer carries; 0: as many as may be

	instance *tlsSide // of a client's side: where it is encrypted again; else nil
}

// lastWords are the reasons that follow from how a peer ends its TLS.
type lastWords struct{ closed, truncated, reset, bad, empty Reason }

var (
	clientWords   = lastWords{ClientClosed, ClientTruncated, ClientReset, BadRecord, EmptyRecords}
	instanceWords = lastWords{InstanceClosed, InstanceTruncated, InstanceReset, InstanceBadRecord, InstanceEmpty}
)

// acceptTLS does the handshake, if TLS ends here. It comes after dialling, because
// crypto/tls can send no alert of our choosing once it has begun: this way the
// client of a dead instance gets an alert.
func (s *setup) acceptTLS() Reason {
	if s.decision.Mode == hello.Passthrough {
		return goOn
	}
	s.until(timerHandshake, HandshakeTimeout)
	s.sealed = true
	c := s.c
	h := s.parser.Hello()
	t := &tlsSide{means: &clientWords, instance: s.instance, limit: h.MaxPlaintext}
	t.wire = wire{c: c, end: &c.client, ahead: s.in, setup: s}
	s.in = nil
	conf := s.tlsFor(h)
	s.handshake = h.Length + handshakeBytes
	s.records = h.Length/(recordHeader+1) + handshakeRecords
	if conf.ClientAuth != tls.NoClientCert || conf.GetConfigForClient != nil {
		s.handshake += certificateBytes
	}
	t.conn = tls.Server(&t.wire, conf)
	c.tls = t
	began := time.Now()
	// A context that can end would cost a goroutine for each handshake.
	err := t.conn.HandshakeContext(context.Background())
	t.wire.shaken()
	t.wire.flush()
	if err != nil {
		t.wire.release()
		c.tls = nil
		s.l.engine.metrics.handshakesFailed.Inc()
		if t.wire.ended != goOn {
			return t.wire.ended
		}
		return HandshakeFailed
	}
	acknowledge(c.client.fd)
	s.l.engine.metrics.handshakeTime.Observe(time.Since(began).Seconds())
	return goOn
}
