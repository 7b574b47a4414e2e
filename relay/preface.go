package relay

// sendPreface tells the backend what it must hear before the client's bytes: who
// the client is, if it wants to know, and for PostgreSQL that TLS follows.
func (s *setup) sendPreface() Reason {
	if s.chosen.TLS != nil {
		return goOn // dialTLS has told it
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
