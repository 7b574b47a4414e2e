package hello

// Mode is how the connection that a hello begins is served.
type Mode uint8

// The modes. Undecided is what a connection is before its name is understood.
const (
	Undecided   Mode = iota
	Terminate        // TLS ends at the gateway, which passes the plain bytes on
	TerminateH2      // the same, and the client speaks HTTP/2
	Passthrough      // the stream is passed on as it is: TLS ends behind the gateway
	Modes            // their number
)

func (m Mode) String() string {
	return [Modes]string{"none", "terminate", "terminate_h2", "passthrough"}[m]
}
