package wg

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"slices"

	"sallyport/internal/vm"
)

// Mode says which kind of device carries the tunnel.
type Mode string

// The modes, as the configuration spells them.
const (
	ModeAuto      Mode = "auto"      // kernel, else userspace, else netstack; the log says why
	ModeKernel    Mode = "kernel"    // the kernel's WireGuard
	ModeUserspace Mode = "userspace" // wireguard-go on a TUN device
	ModeNetstack  Mode = "netstack"  // wireguard-go on a TCP/IP stack in this process; needs no privilege
	ModeNone      Mode = "none"      // no tunnel: addresses are reached directly
)

// MaxPeers is the number of peers one device takes: wireguard-go's own limit,
// held in every mode so that a change of mode cannot lose peers.
const MaxPeers = 1 << 16

// Limits of the MTU: IPv4 must pass 576 bytes (RFC 791), and the largest
// message of wireguard-go is 65,535 bytes with its own headers.
const (
	minMTU     = 576
	maxMTU     = 65_000
	defaultMTU = 1420
)

// Options is what Open needs. It must not be changed after the call.
type Options struct {
	Mode       Mode         // "" is auto
	Interface  string       // name of the interface, and of the UAPI socket and the nftables table
	PrivateKey PrivateKey   // the gateway's identity towards its guests
	ListenPort int          // UDP; 0 lets the system choose, see Device.ListenPort
	Address    netip.Prefix // own IPv4 address; the prefix is the tunnel network
	MTU        int          // of the tunnel, bytes; 0 is 1420

	// EndpointsFile keeps the peers' last endpoints over a restart; "" keeps none.
	EndpointsFile string

	// Guest is for the other end of the tunnel: nothing is filtered, and Listen
	// works. A gateway leaves it false.
	Guest bool

	Log *slog.Logger // nil discards
}

// interfaceName is what wg-quick(8) accepts. It keeps separators out of the
// paths that are made of the name.
var interfaceName = regexp.MustCompile(`^[a-zA-Z0-9_=+.-]{1,15}$`)

// reservedNames would reach settings of the whole host through /proc/sys.
var reservedNames = []string{".", "..", "all", "default", "lo"}

// withDefaults fills what was left zero and refuses what cannot work.
func (o Options) withDefaults() (Options, error) {
	if o.Mode == "" {
		o.Mode = ModeAuto
	}
	if o.MTU == 0 {
		o.MTU = defaultMTU
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Mode == ModeNone {
		return o, nil
	}
	return o, o.check()
}

func (o *Options) check() error {
	switch {
	case !slices.Contains([]Mode{ModeAuto, ModeKernel, ModeUserspace, ModeNetstack}, o.Mode):
		return fmt.Errorf("wg: unknown mode %q", o.Mode)
	case o.PrivateKey.IsZero():
		return errors.New("wg: the private key is missing")
	case o.ListenPort < 0 || o.ListenPort > 65535:
		return fmt.Errorf("wg: listen port %d: want 0 to 65535", o.ListenPort)
	case !o.Address.IsValid() || !o.Address.Addr().Is4() || o.Address.Bits() < 8 || o.Address.Bits() > 30:
		return fmt.Errorf("wg: address %s: want an IPv4 address with a prefix of 8 to 30 bits", o.Address)
	}
	err := CheckInterface(o.Interface)
	if err == nil {
		err = CheckMTU(o.MTU)
	}
	if err != nil {
		return fmt.Errorf("wg: %w", err)
	}
	return nil
}

// CheckInterface returns why no tunnel can have an interface of this name, or nil.
func CheckInterface(name string) error {
	if !interfaceName.MatchString(name) || slices.Contains(reservedNames, name) {
		return fmt.Errorf("interface name %q: want 1 to 15 of a-z, A-Z, 0-9, _=+.- and not a reserved name", name)
	}
	return nil
}

// CheckMTU returns why no tunnel can have this MTU, or nil.
func CheckMTU(mtu int) error {
	if mtu < minMTU || mtu > maxMTU {
		return fmt.Errorf("mtu %d: want %d to %d", mtu, minMTU, maxMTU)
	}
	return nil
}

// Peer is one tunnel: everything that Key signs for, and nothing else, may come
// from Address.
type Peer struct {
	Key     vm.WGKey
	Address netip.Addr // one IPv4 address inside the tunnel network

	// Endpoint is where to send first. A gateway leaves it unset: the guest
	// calls, and the device learns it.
	Endpoint netip.AddrPort
}

// MSS is the largest TCP segment that fits into a tunnel of this MTU (both in
// bytes): IPv4 and TCP headers take 20 each. Set as TCP_MAXSEG on tunnel
// sockets, it keeps a hello of two segments (post-quantum) from vanishing where
// the way back is narrower.
func MSS(mtu int) int { return mtu - 40 }
