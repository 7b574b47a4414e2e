package relay

// sendPreface sends the backend what must come before the client's bytes: the PROXY
// header, if it wants one, and for PostgreSQL the request for TLS.
func (s *setup) sendPreface() Reason {
	if s.chosen.TLS != nil {
		return goOn // dialTLS has sent it
	}
	requestTLS := s.postgres && s.c.tls == nil
	if !s.chosen.SendProxy && !requestTLS {
		return goOn
	}
	s.until(timerConnect, DialTimeout)
	if s.chosen.SendProxy {
		if r := s.toBackend(s.proxyHeader()); r != goOn {
			return r
		}
	}
	if requestTLS {
		return s.requestTLS()
	}
	return goOn
}
