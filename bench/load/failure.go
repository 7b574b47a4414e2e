package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Kind is what went wrong with a connection.
type Kind string

// The kinds. Every error is of one.
const (
	Refused     Kind = "refused"     // nobody listens
	Reset       Kind = "reset"       // by the peer, or written to after it had left
	TimedOut    Kind = "timed out"   // by the kernel
	Closed      Kind = "closed"      // the peer ended the stream before it was due
	Alert       Kind = "alert"       // the peer refused in the words of TLS
	Certificate Kind = "certificate" // not by one of Options.Roots, or not for the name
	Handshake   Kind = "handshake"   // any other failure of it
	Reply       Kind = "reply"       // not what was asked for
	Local       Kind = "local"       // this machine has no descriptor, port or memory left
	Other       Kind = "other"
)

// A Failure is how often something went wrong, and the first case in words.
type Failure struct {
	Kind  Kind   `json:"kind"`
	Count uint64 `json:"count"`
	First string `json:"first"`
}

var (
	errEnded   = errors.New("the peer closed the connection")
	errSurplus = errors.New("the reply has more bytes than were asked for")
)

// handshakeError is one that ended a handshake.
type handshakeError struct{ cause error }

func (e handshakeError) Error() string { return "handshake: " + e.cause.Error() }
func (e handshakeError) Unwrap() error { return e.cause }

// kindOf names an error of a connection.
func kindOf(err error) Kind {
	var (
		refused tls.AlertError
		remote  *net.OpError
		chain   *tls.CertificateVerificationError
		shaking handshakeError
	)
	switch {
	case errors.As(err, &refused), errors.As(err, &remote) && remote.Op == "remote error":
		return Alert
	case errors.As(err, &chain):
		return Certificate
	case isOne(err, unix.ECONNREFUSED):
		return Refused
	case isOne(err, unix.ECONNRESET, unix.EPIPE):
		return Reset
	case isOne(err, unix.ETIMEDOUT, unix.EHOSTUNREACH, unix.ENETUNREACH):
		return TimedOut
	case isOne(err, unix.EMFILE, unix.ENFILE, unix.EADDRNOTAVAIL, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.ENOSPC):
		return Local
	case isOne(err, errEnded, io.EOF, io.ErrUnexpectedEOF):
		return Closed
	case errors.Is(err, errSurplus):
		return Reply
	case errors.As(err, &shaking):
		return Handshake
	}
	return Other
}

func isOne[E error](err error, of ...E) bool {
	return slices.ContainsFunc(of, func(e E) bool { return errors.Is(err, e) })
}

// refusal returns the alert by which a gateway answers a hello that it does not route
// (RFC 8446 section 6), or nil. p is what came first.
func refusal(p []byte) error {
	const alert, size = 21, 2
	if len(p) < recordHeader+size || p[0] != alert || p[1] != 3 || p[3] != 0 || p[4] != size {
		return nil
	}
	return fmt.Errorf("refused: %w", tls.AlertError(p[recordHeader+1]))
}

const recordHeader = 5 // RFC 8446 section 5.1

// A tally counts failures by kind. The zero tally is empty.
type tally []Failure

func (t *tally) add(f Failure) {
	for i := range *t {
		if have := &(*t)[i]; have.Kind == f.Kind {
			have.Count += f.Count
			return
		}
	}
	*t = append(*t, f)
}

// String is such as "reset 3 times, closed once".
func (t tally) String() string {
	parts := make([]string, len(t))
	for i, f := range t {
		parts[i] = fmt.Sprintf("%s %s", f.Kind, times(f.Count))
	}
	return strings.Join(parts, ", ")
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
