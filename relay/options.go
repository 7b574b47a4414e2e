package relay

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"sallyport/internal/hello"
)

// MaxBackends is how many candidates a Decision may name.
const MaxBackends = 3

// Options configure an Engine. They must not be changed after New.
type Options struct {
	// Listen are the addresses to serve. Port 0 takes a free port.
	Listen []netip.AddrPort

	// Route decides what becomes of a connection whose hello is complete. It is
	// called on the loops' threads, by several at once: it must neither block nor
	// keep h or d. It fills d, which is zero when it is called.
	Route func(h *hello.Hello, client netip.AddrPort, d *Decision)

	// Dial, if not nil, replaces the loops' own non-blocking connect, for backends
	// that no kernel route reaches (a network stack in user space). It may block; it
	// is called on a goroutine of its own for each try.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)

	// Bind, if not nil, ties a socket to the way to the backends before it connects, so
	// that no other route takes the stream out of a tunnel. An error means that there is
	// no way: the dial is given up with NoTunnel. It is called on the loops' threads and
	// on goroutines, by several at once, and must not block.
	Bind func(fd int) error

	Timeouts Timeouts

	// Loops is the number of event loops; 0 is one for each CPU that the process may keep
	// busy (package cpuquota).
	Loops int

	// MaxConnections bounds the clients' connections: when there are as many, the client that
	// has waited longest for the rest of its hello makes room. MaxLingering bounds the refused
	// clients that may still read why: above it they are reset at once. MaxHedges bounds
	// the dials that are under way beside another for the same client, and MaxPipes the
	// pipes for splicing. All of them hold descriptors: 0 is what the limit of the process
	// allows if no other part needs any.
	MaxConnections, MaxLingering, MaxHedges, MaxPipes int

	// MaxPerSource bounds the connections from one client address (IPv6: one /64), those
	// that are silent or still being set up included; 0 is no limit.
	MaxPerSource int

	// ProxyProtocolFrom are the senders whose PROXY header is required and believed. A
	// PROXY header from others is refused.
	ProxyProtocolFrom []netip.Prefix

	// BackendMSS is the TCP maximum segment size for connections to backends; 0
	// leaves it to the kernel. Tunnels want it: a post-quantum hello that does not
	// fit the path vanishes in a tunnel with a wrong MTU.
	BackendMSS int

	// Log takes one line per ended connection if Access is set, and the engine's own
	// events. Required. It must not block: a loop that logs would stop.
	Log    *slog.Logger
	Access bool

	// LoopLog, if not nil, is called once for each loop and makes the logger that its
	// thread alone uses, so that it shares no lock with the others. Nil: Log.
	LoopLog func() *slog.Logger
}

// Timeouts of a connection's phases; see the configuration for their meaning.
// Idle 0 is never; the others must be positive.
type Timeouts struct {
	Hello, Handshake, Connect, Hedge, Idle, Drain time.Duration
}

// Decision is the answer of a Route function.
type Decision struct {
	// Refuse, if not zero, ends the connection with this reason.
	Refuse Reason

	// Later, if not nil, decides in place of the rest, on a goroutine: it may wait for
	// a name server, until ctx ends. It keeps nothing of the hello.
	Later func(ctx context.Context, d *Decision)

	// Mode says whether the client's TLS ends here, and TLS is what ends it: required
	// unless the mode is hello.Passthrough.
	Mode hello.Mode
	TLS  *tls.Config

	// Backends are the candidates, the first N, in the order in which to try them.
	Backends [MaxBackends]Backend
	N        int

	// Limit, if not nil, is asked for one connection before dialling and given it back
	// at the end.
	Limit Limit

	// ProxyTLVs has the PROXY headers of Backends carry all that is known of the client.
	// They are over 107 bytes then, which some readers refuse.
	ProxyTLVs bool

	// Share is how many connections of Limit one client address (IPv6: one /64) may
	// hold; 0 is no bound of its own.
	Share int

	// App and Detail are words for the log: where it goes, and why not.
	App, Detail string
}

// Backend is one address to dial.
type Backend struct {
	Addr netip.AddrPort
	Name string // for the log: the instance

	// Watch, if not nil, hears of dials and connections. It is also the identity by
	// which CloseBackend finds connections.
	Watch Watcher

	// Dial, if not nil, takes the place of Addr: what it returns is the connection. It
	// is called on a goroutine and may block until ctx ends.
	Dial func(ctx context.Context) (net.Conn, error)

	// TLS, if not nil, re-encrypts terminated connections to the backend. The config must
	// set VerifyConnection, which decides about the backend's certificate, and
	// InsecureSkipVerify. TLS 1.3 is spoken and no session resumed, whatever the
	// config says. It is called on a goroutine for each try, by several at once; it
	// and the callbacks of its config may block until ctx ends, and nil fails the try.
	TLS func(ctx context.Context) *tls.Config

	// SendProxy asks for a PROXY v2 header with the client's address before anything
	// else. With TLS it goes out before the client's handshake, and so says nothing about
	// it even with ProxyTLVs, as for a connection that is passed through.
	SendProxy bool
}

// Watcher hears what happens to a backend. Its methods are called on the loops'
// threads, by several at once, and must not block.
type Watcher interface {
	Dialled(port uint16, ok bool)
	Opened()
	Closed()
}

// Limit is a bound on concurrent connections, and comparable. Its methods are called on the
// loops' threads, by several at once, and must not block.
type Limit interface {
	Acquire() bool
	Release()
}
