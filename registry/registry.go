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

	"golang.org/x/sync/errgroup"

	"sallyport/internal/vm"
	"sallyport/registry/policy"
	"sallyport/registry/record"
	"sallyport/registry/store"
)

// Tunnel is the WireGuard device. Its methods may be called concurrently, and
// repeating a call changes nothing.
type Tunnel interface {
	// SetPeer accepts traffic for address from and to key, and from and to no other.
	SetPeer(ctx context.Context, key vm.WGKey, address netip.Addr) error
	// RemovePeer removes key. A key that is not there is not an error.
	RemovePeer(ctx context.Context, key vm.WGKey) error
	// RemovePeersExcept removes every other key, also those of an earlier process.
	RemovePeersExcept(ctx context.Context, keep []vm.WGKey) error
	// Dial connects to a peer's address through the tunnel only.
	Dial(ctx context.Context, to netip.AddrPort) (net.Conn, error)
}

// Publisher shows instances to the data plane. Its methods may be called concurrently. A Spec
// with another tunnel than before ends the connections through the old one.
type Publisher interface {
	Upsert(specs ...vm.Spec)
	Remove(ids ...vm.InstanceID)
}

// Options are what a Registry needs. They must not be changed after Open.
type Options struct {
	Store     store.Store
	Tunnel    Tunnel // nil: instances are reached without one
	Publisher Publisher

	OwnKey   vm.WGKey       // the gateway's public key, which no instance may use
	Network  netip.Prefix   // the tunnel network; its address is the gateway's own
	Pool     netip.Prefix   // the addresses for instances,
	Reserved []netip.Prefix // except these
	Static   []vm.Spec      // instances that do not register; no other may use their ids, keys and addresses

	// Node is the name of this gateway among the nodes that share Store, up to MaxNode bytes. Each
	// node recycles the instances that registered with it last. A gateway alone needs no name.
	Node string

	// AddressRest is how long the address of a removed instance stays unused; 0 is 10 minutes.
	AddressRest time.Duration

	// RecycleAfter is how long an instance may neither register nor complete a handshake before
	// it is removed; 0 is 10 hours. The start of the gateway counts as a registration.
	RecycleAfter time.Duration

	// Handshakes returns the last handshake of each key, zero if there was none, with a
	// monotonic reading. nil: only registrations count.
	Handshakes func(ctx context.Context) (map[vm.WGKey]time.Time, error)

	// Authorize decides whether a registration is allowed; webhook.Webhook has one. It is asked at
	// each registration, and again AuthorizeInterval after its last answer, about the App,
	// Instance, Compose, Key and Facts of then. An error that wraps ErrDenied refuses the
	// instance. Any other error refuses a registration, and leaves registered instances as they
	// are. It may be called concurrently. nil: all are allowed.
	Authorize func(ctx context.Context, q Request) error

	// AuthorizeInterval: see Authorize; 0 is 5 minutes.
	AuthorizeInterval time.Duration

	// ProofGrace is the time between the end of an instance's Proof and its refusal; see
	// SetAuthorities.
	ProofGrace time.Duration

	// RequireEvidence refuses registrations without evidence, and refuses instances that have
	// registered without evidence until they show some.
	RequireEvidence bool

	// Appraise appraises evidence: new evidence at a registration, and stored evidence later. nil
	// accepts it. An error that wraps ErrUndecided means that there is no verdict now. Any other
	// error refuses the evidence, and its text is shown to operators and to the guest. Appraise
	// must return when ctx ends (20 s), must not keep or change evidence, and may be called
	// concurrently. If it is nil, registrations store what they bring, and nothing is appraised.
	Appraise func(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error

	// Recheck applies to accepted evidence the rules that need no collateral, such as a policy's
	// lists; an error refuses the evidence. It is called before any instance is served after a
	// start, and when Reattest is called. Appraise must refuse what Recheck refuses. It must not
	// keep or change evidence, and may be called concurrently. nil: there are no such rules.
	Recheck func(id vm.InstanceID, app vm.AppID, evidence []byte) error

	// UndecidedFor is how long an instance is served while Appraise has no verdict on its
	// evidence; then it is refused until there is one; 0 is 24 hours. Restarts do not begin it
	// again.
	UndecidedFor time.Duration

	// ReattestInterval is the time between a verdict and the next appraisal; 24 hours is a good
	// value. 0: only after a start and when Reattest is called.
	ReattestInterval time.Duration

	// OpenPrivate accepts the port policy that a guest reports if its agent does not publish its
	// compose file. Any guest can answer so.
	OpenPrivate bool
	// MaxPerApp limits the instances of an app; 0 is 1,024, below 0 is no limit.
	MaxPerApp int

	// PoolShare is the percentage that an app may have of the addresses that are its own or
	// free; 0 is 50, 100 is no limit.
	PoolShare int

	// ChangeInterval is how often an instance may change its registration, three changes at
	// once at most; 0 is 10 s, below 0 is no limit.
	ChangeInterval time.Duration

	// MaxFetches limits how many guests are asked for their port policies at once; 0 is 256.
	// Nearly all of that time is waiting for guests whose tunnel is not up.
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

	// applyTimeout bounds storing and applying one change: a guest stops waiting after 60 s, and
	// its registration should be complete before.
	applyTimeout = 20 * time.Second
)

// Registry owns the state of registered instances. All methods may be called concurrently, Run
// once.
type Registry struct {
	o       Options
	table   *table
	lanes   lanes
	changes *changes
	fetcher *policy.Fetcher
	metrics *metrics
	down    atomic.Bool
	since   int64 // the revision as of which Open has read the store
}

// Open reads all instances from the store, sets their peers and publishes them, static
// ones too. It fails if the store contradicts itself, or a static instance cannot be
// served. A registered instance that no longer fits the configuration, or whose peer cannot be
// set, is logged, kept, and served again when it registers.
func Open(ctx context.Context, o Options) (*Registry, error) {
	o = o.withDefaults()
	if o.Store == nil || o.Publisher == nil {
		return nil, errors.New("registry: Options need a Store and a Publisher")
	}
	if len(o.Node) > MaxNode {
		return nil, fmt.Errorf("registry: node name of %d bytes, the limit is %d", len(o.Node), MaxNode)
	}
	table, err := newTable(o)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{o: o, table: table, lanes: lanes{busy: make(map[vm.InstanceID]*lane)}}
	r.changes = newChanges(o.ChangeInterval)
	r.fetcher = policy.New(r.policyOptions())
	r.metrics = newMetrics(table, r.fetcher.Collector())
	if err := r.load(ctx); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r, nil
}

func (o Options) withDefaults() Options {
	o.AddressRest = cmp.Or(o.AddressRest, defaultAddressRest)
	o.RecycleAfter = cmp.Or(o.RecycleAfter, defaultRecycleAfter)
	o.AuthorizeInterval = cmp.Or(o.AuthorizeInterval, defaultAuthorize)
	o.UndecidedFor = cmp.Or(o.UndecidedFor, defaultUndecidedFor)
	o.ReattestInterval = max(o.ReattestInterval, 0)
	o.MaxPerApp = cmp.Or(o.MaxPerApp, defaultMaxPerApp)
	o.PoolShare = cmp.Or(o.PoolShare, defaultPoolShare)
	o.ChangeInterval = cmp.Or(o.ChangeInterval, defaultChangeInterval)
	o.MaxFetches = cmp.Or(o.MaxFetches, defaultFetches)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return o
}

// SetDown refuses registrations, or accepts them again: guests register with another node.
// Registered instances stay. A restart accepts registrations again.
func (r *Registry) SetDown(down bool) { r.down.Store(down) }

// Run fetches port policies, follows other nodes, recycles instances, appraises their evidence
// again and takes back their authority, until ctx ends. It waits for all that it has started, and
// returns nil.
func (r *Registry) Run(ctx context.Context) error {
	var parts errgroup.Group
	parts.Go(func() error { return r.fetcher.Run(ctx) })
	parts.Go(func() error { return r.follow(ctx) })
	parts.Go(func() error { return r.recycle(ctx) })
	parts.Go(func() error { return r.reattest(ctx) })
	parts.Go(func() error { return r.supervise(ctx) })
	return parts.Wait()
}
