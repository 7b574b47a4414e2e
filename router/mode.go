package router

// Mode is how a connection is served.
type Mode uint8

// The modes, as the name's suffix asks for them.
const (
	Undecided   Mode = iota // there is no name in the grammar
	Terminate               // no suffix: TLS ends here, the instance gets the plain bytes
	TerminateH2             // g: the same, the client speaks HTTP/2
	Passthrough             // s: the instance ends TLS itself
	modes
)

func (m Mode) String() string {
	return [modes]string{"undecided", "terminate", "terminate_h2", "passthrough"}[m]
}

// suffix is how a name asks for the mode.
func (m Mode) suffix() string { return [modes]string{"", "", "g", "s"}[m] }

// port is the one a name without a port means.
func (m Mode) port() uint16 {
	if m == Passthrough {
		return 443
	}
	return 80
}

// ALPN chooses the protocol to confirm to the client, "" for none. empty says
// that the client sent no ALPN at all, offers whether it offers a protocol.
//
// An instance behind a name without suffix is never spoken HTTP/2 to: it expects
// what it would get on a plain port. To a client that offers only other protocols
// nothing is confirmed, and it decides itself whether to go on without.
func (m Mode) ALPN(empty bool, offers func(protocol string) bool) (protocol string, r Refusal) {
	switch {
	case m == Undecided:
		return "", NoProtocol
	case m == Passthrough || empty:
		return "", None
	case m == TerminateH2:
		if offers("h2") {
			return "h2", None
		}
		return "", NoProtocol
	case offers("http/1.1"):
		return "http/1.1", None
	case offers("postgresql"):
		return "postgresql", None
	default:
		return "", None
	}
}
