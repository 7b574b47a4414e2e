package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"sallyport/internal/vm"
)

// ErrNoAttestation is what Options.Identify returns for a certificate without a
// quote where one is demanded. Guests look for its words in the answer, and come
// back at once with their quoted certificate. A Client reports it as such.
var ErrNoAttestation = errors.New("no attestation provided")

// Caller is the instance that registers, as its client certificate names it.
type Caller struct {
	App      vm.AppID
	Instance vm.InstanceID
	Compose  vm.ComposeHash

	// Info is what else Identify found out. It is passed to the Registrar unread.
	Info any
}

// Registration is what a guest asks for.
type Registration struct {
	// Key is the guest's end of the tunnel. It is never zero.
	Key vm.WGKey
	// Policy is vm.PolicyUnknown where the guest sent none, as those before
	// 0.5.9 do.
	Policy vm.PortPolicy
}

// Grant is what the guest gets.
type Grant struct {
	Address netip.Addr // in the tunnel
}

// Registrar takes guests in. Register returns when the guest's tunnel is ready
// for it, or with an error whose text the guest gets. It must heed ctx and may be
// called concurrently, for the same instance too.
type Registrar interface {
	Register(ctx context.Context, c Caller, r Registration) (Grant, error)
}

// Node is a gateway that serves the guests' tunnels.
type Node struct {
	ID       uint32
	UUID     []byte
	URL      string // of its API; "" if guests do not call it
	LastSeen time.Time
	Key      vm.WGKey
	Address  netip.Prefix // its own in the tunnel, with the network's length
	Endpoint string       // host:port for WireGuard; IPv4 or a name
}

// Public is how clients reach a guest's app.
type Public struct {
	Domain    string // apps are served below it; "" if none is
	Port      uint16
	AgentPort uint16 // of the guest agent inside the tunnel; default 8090
	TXTPrefix string // of the records for custom domains; default "_dstack-app-address"
}

// Options of a Server. Identity, Identify, Registrar and Nodes are required.
// All functions may be called concurrently.
type Options struct {
	Identity *Identity

	// Identify returns the instance that has opened a connection. It is called for each
	// RegisterCvm and GetPeers whose certificate leads to a root in force and is valid now;
	// VerifiedChains are verified again for each call. It must heed ctx. An error's text goes to the guest; see ErrNoAttestation.
	Identify func(ctx context.Context, state *tls.ConnectionState) (Caller, error)

	Registrar Registrar

	// Nodes lists the gateways that a guest is to connect to, this one first,
	// always in the same order.
	Nodes func() []Node

	// AppOf reads the app id of the gateway's own certificate. Callers of that app
	// may ask for its peers. If AppOf is nil, no caller may.
	AppOf func(leaf *x509.Certificate) (vm.AppID, error)

	Public Public

	// Certificates provides what AcmeInfo answers; nil: nothing is known.
	Certificates Certificates

	// Version is semantic, without "v"; Commit is hexadecimal.
	Version, Commit string

	// MaxRequests is how many calls run at once; others wait. Default 128.
	MaxRequests int
	// MaxConnections bounds open connections. Half of them are for certified guests, a
	// quarter for strangers; see places.go. Default 4096.
	MaxConnections int
	// MaxPerSource bounds those of one client address (IPv6: of its /64) that have not shown
	// a certificate. All CVMs of a host may share one. Default 512.
	MaxPerSource int

	// Log receives refused registrations and failures. Nil discards it.
	Log *slog.Logger
}

func (o Options) withDefaults() Options {
	setDefault(&o.MaxRequests, 128)
	setDefault(&o.MaxConnections, 4096)
	setDefault(&o.MaxPerSource, 512)
	setDefault(&o.Public.AgentPort, 8090)
	setDefault(&o.Public.TXTPrefix, "_dstack-app-address")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}
