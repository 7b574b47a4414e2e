package relay

import (
	"crypto/tls"

	"sallyport/internal/hello"
)

// Clients that offer early data (0-RTT) hold a ticket of another server for the name: the
// name has moved here, or DNS has both. RFC 8446, 4.2.10, wants a server to ignore the
// offer and to skip what it cannot decrypt. crypto/tls refuses the hello instead, and the
// offer cannot be taken out of it: both sides hash what was sent.
//
// So such a client gets the answer of a server without TLS 1.3. It must give up then,
// and may connect again without early data, to TLS 1.3 (RFC 8446, D.3): Chrome and Firefox
// do so at once, and show nothing. After the alert that crypto/tls sends, they do not. A
// client that does not (OpenSSL) fails as before, until its ticket has expired.

// tlsFor is the TLS of the decision, or what a client that offers early data gets of it.
func (s *setup) tlsFor(h *hello.Hello) *tls.Config {
	conf := s.decision.TLS
	if h.EarlyData {
		s.c.detail("offers early data for another server: answered with TLS 1.2, so that it connects again without")
		conf = conf.Clone()
		conf.MaxVersion = tls.VersionTLS12
	}
	return conf
}
