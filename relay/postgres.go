package relay

import (
	"bytes"
	"encoding/binary"
)

// PostgreSQL clients ask for TLS before they speak it ("Message Flow", 54.2.10
// and 54.2.11 of the PostgreSQL manual): eight bytes, answered by one. Such a
// request begins with a zero byte, which no TLS record does.
const (
	sslRequest    = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssEncRequest = "\x00\x00\x00\x08\x04\xd2\x16\x30"

	// A client that does not want TLS begins with one of these (54.7), which are longer:
	// a StartupMessage of protocol 3, whatever its minor version is, or a CancelRequest.
	startupMajor  = 3
	maxStartup    = 10000 // PostgreSQL's own bound
	cancelRequest = "\x00\x00\x00\x10\x04\xd2\x16\x2e"
)

// plainPostgres is the ErrorResponse (54.7) that a client without TLS gets. libpq goes
// on to TLS after it with sslmode=allow, and shows it otherwise; many drivers show
// the message alone, so that has to say what to do. 28000 is what PostgreSQL says
// where pg_hba.conf wants TLS.
var plainPostgres = errorResponse(
	"SFATAL", "VFATAL", "C28000",
	"MTLS is required here: connect with sslmode=require or sslmode=verify-full",
	"HThe server name in TLS selects the server. Drivers without sslmode have their own option for TLS.",
)

// errorResponse is such a message; the first byte of each field is its type.
func errorResponse(fields ...string) string {
	var list []byte
	for _, f := range fields {
		list = append(append(list, f...), 0)
	}
	list = append(list, 0)
	return string(append(binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(list))), list...))
}

// answerSSLRequest says S to an SSLRequest, so that the hello follows. The
// instance is not known yet, the hello will name it; if it turns out not to
// speak TLS, sendPreface ends the connection with an alert. GSSAPI encryption,
// which libpq may ask for first, is declined.
func (s *setup) answerSSLRequest() Reason {
	if r := s.atLeast(1); r != goOn {
		return r
	}
	declined := false
	for s.in.Bytes()[0] == 0 {
		if r := s.atLeast(len(sslRequest)); r != goOn {
			return r
		}
		request := s.in.Bytes()[:len(sslRequest)]
		s.in.Skip(len(sslRequest))
		switch {
		case bytes.Equal(request, []byte(sslRequest)):
			s.postgres = true
			return s.reply([]byte("S"))
		case bytes.Equal(request, []byte(gssEncRequest)) && !declined:
			declined = true
		default:
			return s.withoutTLS(request)
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

// withoutTLS is the reason for a client that begins with something else. A client
// that cancels a query in the clear gets no answer, as it gets none from PostgreSQL: it
// sends no name by which its server could be found.
func (s *setup) withoutTLS(first []byte) Reason {
	length, major := binary.BigEndian.Uint32(first), binary.BigEndian.Uint16(first[4:])
	switch {
	case bytes.Equal(first, []byte(cancelRequest)):
		s.c.detail("a PostgreSQL CancelRequest without TLS, which names no server; libpq 17 and newer can send it in TLS")
		return NotTLS
	case major == startupMajor && len(first) < int(length) && length <= maxStartup:
		return PostgresPlain
	}
	return NotTLS
}

// atLeast waits until n bytes of the client are there.
func (s *setup) atLeast(n int) Reason {
	for s.in.Len() < n {
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
