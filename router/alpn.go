package router

import "sallyport/internal/hello"

// ALPN chooses the protocol to confirm to a client that asked for the mode and offers
// these, "" for none: the client sent no ALPN at all, or the instance will choose.
//
// For a name without suffix HTTP/2 is never confirmed: the instance expects what it
// would get on a plain port. Of the other protocols that a client offers, the first is
// confirmed, whatever it is: the gateway relays any protocol. A client that offers
// protocols and is confirmed none may go on as if its choice were confirmed, so it is
// refused (RFC 7301, 3.2).
func ALPN(m hello.Mode, offered hello.ALPN) (protocol string, r Refusal) {
	if m == hello.Passthrough {
		return "", None
	}
	postgres := false
	var other []byte
	for p := range offered.All() {
		switch {
		case m == hello.TerminateH2 && string(p) == hello.HTTP2:
			return hello.HTTP2, None
		case m != hello.Terminate:
		case string(p) == hello.HTTP1:
			return hello.HTTP1, None
		case string(p) == hello.PostgreSQL:
			postgres = true
		case other == nil && !isNotPlain(p):
			other = p
		}
	}
	switch {
	case postgres:
		return hello.PostgreSQL, None
	case other != nil:
		return string(other), None
	case offered.Empty() && m != hello.Undecided:
		return "", None
	}
	return "", NoProtocol
}

// isNotPlain reports whether a protocol must not be confirmed for a name without
// suffix: HTTP/2, which gRPC once called grpc-exp; the proof of control of a name
// (RFC 8737), which an instance must not give; and GREASE (RFC 8701), which clients
// offer to find servers that confirm protocols they do not know.
func isNotPlain(p []byte) bool {
	switch string(p) {
	case hello.HTTP2, "grpc-exp", hello.ACMETLS1:
		return true
	}
	return len(p) == 2 && p[0] == p[1] && p[0]&0x0f == 0x0a
}
