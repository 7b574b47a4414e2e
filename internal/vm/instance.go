package vm

import "net/netip"

// Spec describes an instance as the control plane knows it. It is comparable: equal
// specs mean that a registration changed nothing.
type Spec struct {
	Policy  PortPolicy
	ID      InstanceID
	App     AppID
	Key     WGKey
	Addr    netip.Addr // in the tunnel
	Compose ComposeHash

	// Refused is the reason why the instance may have no traffic, though it is registered;
	// "": it may. Refused or not, it is the same CVM (SameTunnel).
	Refused string
}

// SameTunnel reports whether o is reached exactly as s is: the same app's CVM behind the
// same key and address. If not, nothing learnt about s holds for o.
func (s Spec) SameTunnel(o Spec) bool {
	return s.ID == o.ID && s.App == o.App && s.Key == o.Key && s.Addr == o.Addr
}

// Instance is one CVM as a Snapshot shows it. It is immutable, except for what
// Live points to. What a lookup reads comes first.
type Instance struct {
	label Label
	Live  *Live

	app    uint32 // number of its App
	Weight uint16 // its share of its app's new connections; 0: only if there is no other
	Health Health
	Spec
}

// Health is the state of an instance as the gateway sees it.
type Health uint8

// The states. Package health holds the rules that lead to them.
const (
	Never   Health = iota // no handshake since it registered
	Fresh                 // its tunnel is up
	Warming               // up again since a moment, its share still grows
	Stale                 // WireGuard has dropped the session; a dial waits for a new handshake
	Ejected               // dials fail
	Down                  // no handshake for longer than the limit
	Refused               // the control plane allows it no traffic
	HealthStates
)

func (h Health) String() string {
	return [HealthStates]string{"never", "fresh", "warming", "stale", "ejected", "down", "refused"}[h]
}

// Serves reports whether an instance in this state may receive new connections.
// An ejected one may, as a last resort: dials are a guess, a handshake is proof.
func (h Health) Serves() bool { return h != Never && h < Down }
