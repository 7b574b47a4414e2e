package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/policy"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Tunnel is the WireGuard device. Its methods may be called concurrently, and
// repeating a call changes nothing.
type Tunnel interface {
	// SetPeer takes traffic for address from and to key, and nobody else's.
	SetPeer(ctx context.Context, key vm.WGKey, address netip.Addr) error
	// RemovePeer forgets key. It is no error if it is not there.
	RemovePeer(ctx context.Context, key vm.WGKey) error
	// RemovePeersExcept forgets every other key, also those of an earlier process.
	RemovePeersExcept(ctx context.Context, keep []vm.WGKey) error
	// Dial connects to a peer's address through the tunnel, and by no other way.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Publisher shows instances to the data plane. Its methods may be called
// concurrently. A Spec with another tunnel than before ends the connections through
// the old one.
type Publisher interface {
	Upsert(specs ...vm.Spec)
	Remove(ids ...vm.InstanceID)
}

// Options are what a Registry needs. They must not be changed after Open.
type Options struct {
	Store     store.Store
	Tunnel    Tunnel // nil: instances are reached without one
	Publisher Publisher

	OwnKey   vm.WGKey       // the gateway's public key, which no instance may have
	Network  netip.Prefix   // the tunnel network; its address is the gateway's own
	Pool     netip.Prefix   // addresses are handed out from here
	Reserved []netip.Prefix // but not from here
	Static   []vm.Spec      // instances that do not register; their ids, keys and addresses are theirs

	// Node is this gateway's name among those that share Store, up to MaxNode bytes.
	// Each recycles what registered with it last. A gateway alone needs none.
	Node string

	// AddressRest is how long a freed address is not handed out again; 0 is 10 minutes.
	AddressRest time.Duration

	// RecycleAfter is how long an instance may neither register nor shake hands
	// before it is removed; 0 is 10 hours. A start of the gateway counts as a
	// registration: what was before is not remembered.
	RecycleAfter time.Duration

	// Handshakes tells the last handshake of each key, zero if there was none, with a
	// monotonic reading. nil: only registrations count.
	Handshakes func(ctx context.Context) (map[vm.WGKey]time.Time, error)

	// Authorize is asked at each registration whether it is allowed, for instance
	// Webhook.Authorize, and again AuthorizeInterval after its last answer, by the App, Instance,
	// Compose, Key and Facts of then. ErrDenied, wrapped or not, refuses the instance; any other
	// error refuses a registration and leaves who is registered as it is. It may be called
	// concurrently. nil: all are allowed.
	Authorize func(ctx context.Context, q Request) error

	// AuthorizeInterval: see Authorize; 0 is 5 minutes.
	AuthorizeInterval time.Duration

	// ProofGrace is how long after the end of its Proof an instance is refused; see SetAuthorities.
	ProofGrace time.Duration

	// RequireEvidence refuses registrations without evidence, and keeps whoever was
	// registered without from traffic until it comes with some.
	RequireEvidence bool

	// Appraise judges evidence: at a registration with new evidence, and again later. nil
	// accepts it; an error wrapping ErrUndecided says that it cannot be told now; any other
	// refuses it, and its text is shown to operators and to the guest. It must heed ctx
	// (20 s), must not keep or change evidence, and may be called concurrently. nil: what
	// a registration brings is accepted and stored, and nothing is judged again.
	Appraise func(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error

	// Recheck applies to evidence that was accepted before what can be told of it at once,
	// without asking anybody, such as a policy's lists; an error refuses it. It is asked
	// before anybody is served after a start, and when Reattest is called; whom it refuses
	// Appraise must refuse too. It must not keep or change evidence, and may be called
	// concurrently. nil: nothing is told before Appraise.
	Recheck func(id vm.InstanceID, app vm.AppID, evidence []byte) error

	// UndecidedFor is how long an instance is served while Appraise cannot tell whether its
	// evidence is still good; then it is refused until it can; 0 is 24 hours. It is counted
	// over restarts.
	UndecidedFor time.Duration

	// ReattestInterval is how long after a verdict evidence is judged again; 24 hours is
	// a good value. 0: only after a start and when Reattest asks for it.
	ReattestInterval time.Duration

	// OpenPrivate takes an agent that keeps its compose file to itself for one with an open
	// policy, which the guest's report narrows. Any guest can answer so.
	OpenPrivate bool
	// MaxPerApp is how many instances an app may have; 0 is 1,024, below 0 is no limit.
	MaxPerApp int

	// PoolShare is the percentage that an app may have of the addresses that are its own or
	// free; 0 is 50, 100 is no limit.
	PoolShare int

	// ChangeInterval is how often an instance may change its registration, three changes at
	// once at most; 0 is 10 s, below 0 is no limit.
	ChangeInterval time.Duration

	// MaxFetches is how many instances are asked for their port policies at once; 0 is 256.
	// Nearly all of that time is waiting for those whose tunnel is not up.
	MaxFetches int

	Log *slog.Logger // nil discards
}

// MaxNode is the longest name of a node in bytes.
const MaxNode = record.MaxNode

const (
	defaultAddressRest  = 10 * time.Minute
	defaultRecycleAfter = 10 * time.Hour
	defaultUndecidedFor = 24 * time.Hour
	defaultFetches      = 256
	defaultAuthorize    = 5 * time.Minute

	// applyTimeout bounds storing and applying one change: a guest gives up after
	// 60 s, and must not leave before its registration is whole.
	applyTimeout = 20 * time.Second
)

// Registry owns what is known about registered instances. All methods may be called
// concurrently, Run once.
type Registry struct {
	o       Options
	table   *table
	lanes   lanes
	changes *changes
	fetcher *policy.Fetcher
	metrics *metrics
	down    atomic.Bool
	since   int64 // the revision up to which Open has read the store
}

// Open reads all instances from the store, sets their peers and publishes them, static
// ones too. It fails if the store cannot be believed, or a static instance cannot be
// served. A registered instance that does not fit the configuration any more, or whose
// peer fails, is logged, kept, and served again when it registers.
func Open(ctx context.Context, o Options) (*Registry, error) {
	o.AddressRest = cmp.Or(o.AddressRest, defaultAddressRest)
	o.RecycleAfter = cmp.Or(o.RecycleAfter, defaultRecycleAfter)
	o.MaxFetches = cmp.Or(o.MaxFetches, defaultFetches)
	o.UndecidedFor = cmp.Or(o.UndecidedFor, defaultUndecidedFor)
	o.AuthorizeInterval = cmp.Or(o.AuthorizeInterval, defaultAuthorize)
	o.MaxPerApp = cmp.Or(o.MaxPerApp, defaultMaxPerApp)
	o.ReattestInterval = max(o.ReattestInterval, 0)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.Store == nil || o.Publisher == nil {
		return nil, errors.New("registry: needs a Store and a Publisher")
	}
	if len(o.Node) > MaxNode {
		return nil, fmt.Errorf("registry: node name of %d bytes, the limit is %d", len(o.Node), MaxNode)
	}
	table, err := newTable(o)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{o: o, table: table, lanes: lanes{busy: make(map[vm.InstanceID]*lane)}}
	r.changes = newChanges(cmp.Or(o.ChangeInterval, defaultChangeInterval))
	r.fetcher = policy.New(r.policyOptions())
	r.metrics = newMetrics(table, r.fetcher.Collector())
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r, nil
}

// SetDown refuses registrations, or lets them in again: guests go to another gateway.
// Instances that are registered stay. It is not remembered over a restart.
func (r *Registry) SetDown(down bool) { r.down.Store(down) }
