package relay

import (
	"bytes"
)

// PostgreSQL clients ask for TLS before they speak it ("Message Flow", 54.2.10
// and 54.2.11 of the PostgreSQL manual): eight bytes, answered by one. Such a
// request begins with a zero byte, which no TLS record does.
const (
	sslRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssEncRequest = "\x00\x00\x00\x08\x04\xd2\x16\x30"
)

// answerSSLRequest says S to an SSLRequest, so that the hello follows. The
// instance is not known yet, the hello will name it; if it turns out not to
// speak TLS, sendPreface ends the connection with an alert. GSSAPI encryption,
// which libpq may ask for first, is declined.
func (s *setup) answerSSLRequest() Reason {
	if r := s.atLeast(1); r != goOn {
		return r
	}
	declined := false
	for s.in.bytes()[0] == 0 {
		if r := s.atLeast(len(sslRequest)); r != goOn {
			return r
		}
		request := s.in.bytes()[:len(sslRequest)]
		s.in.off += len(sslRequest)
		switch {
		case bytes.Equal(request, []byte(sslRequest)):
			s.postgres = true
			return s.reply([]byte("S"))
		case bytes.Equal(request, []byte(gssEncRequest)) && !declined:
			declined = true
		default:
			return NotTLS
		}
		if r := s.reply([]byte("N")); r != goOn {
			return r
		}
		if r := s.atLeast(1); r != goOn {
			return r
		}
	}
	return goOn
}

// atLeast waits until n bytes of the client are there.
func (s *setup) atLeast(n int) Reason {
	for s.in.len() < n {
		if r := s.more(); r != goOn {
			return r
		}
	}
	return goOn
}

// requestTLS asks a backend that is passed through for TLS as the client did,
// and expects its S.
func (s *setup) requestTLS() Reason {
	if r := s.toBackend([]byte(sslRequest)); r != goOn {
		return r
	}
	e := &s.c.backend
	var answer [1]byte // not one byte more: what follows is TLS and the client's
	for {
		if e.read(answer[:]) == 1 {
			if answer[0] != 'S' {
				return PostgresRefused
			}
			return goOn
		}
		if e.over() {
			return PostgresRefused
		}
		if e.readable {
			continue
		}
		if r := s.wait(); r != goOn {
			return r
		}
	}
}
