package customdomain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"time"

	"sallyport/internal/vm"
)

// Options configure a Resolver. Only Resolvers are required.
type Options struct {
	// Resolvers are recursive resolvers. All are asked for each name, in this order,
	// until one has an answer.
	Resolvers []netip.AddrPort

	// Prefix is the label in front of a name where its record is; "" is
	// "_dstack-app-address".
	Prefix string

	// Legacy looks at the label of old guests, "_tapp-address", too.
	Legacy bool

	// MissesPerSource bounds the lookups of names that are not remembered, by one
	// client address (IPv6: one /64) in a minute; 0 is no limit. One lookup is up to
	// three queries to one resolver at a time.
	MissesPerSource int

	// MissesPerSecond bounds them for all clients together; 0 is 100.
	MissesPerSecond int

	// CacheSize is about how many names with a record are remembered, and
	// NegativeCacheSize how many without; 0 is 4096. Up to 500 bytes each.
	CacheSize, NegativeCacheSize int

	// MaxLookups bounds the lookups under way: with slow resolvers a rate does not. Each
	// has up to two sockets. 0 is 256.
	MaxLookups int

	// Timeout is for a whole lookup; 0 is 5 seconds.
	Timeout time.Duration

	// Log receives reports of bugs. Nil discards them.
	Log *slog.Logger
}

// Target is the meaning of a record. It is comparable.
type Target struct {
	ID   vm.Label // of an instance, else of an app: it is to be looked up, and may be unknown
	Port uint16   // of the instance, not 0
}

// Why a lookup has no Target. Every error of Lookup is one of them.
var (
	// ErrNotFound: there is no record, or no such name can have one.
	ErrNotFound = errors.New("no custom domain record")
	// ErrBroken: there is a record, and it is wrong. The domain's owner must mend it.
	ErrBroken = errors.New("broken custom domain record")
	// ErrTemporary: the resolvers do not answer, or not sensibly.
	ErrTemporary = errors.New("custom domain lookup failed")
	// ErrInternal: the lookup met a bug, which is logged. It is an ErrTemporary too.
	ErrInternal = errors.New("internal error")
	// ErrLimited: too many unknown names were asked for.
	ErrLimited = errors.New("too many custom domain lookups")
)

// How long an answer is remembered. A record's TTL is clamped: 0 would let its
// owner's clients make a query for each connection. The others are no longer than
// an owner likes to wait for a new record.
const (
	minFound     = 5 * time.Second
	maxFound     = time.Hour
	absentFor    = 10 * time.Second // ErrNotFound and ErrBroken
	temporaryFor = time.Second      // ErrTemporary

	// A record whose TTL has passed serves on while its successor cannot be had
	// (RFC 8767): else an attacker who uses up the limit, or stops the resolvers, would stop
	// all custom domains. It is asked for again every staleFor.
	maxStale = time.Hour
	staleFor = 10 * time.Second
)

// Resolver looks names up. All methods may be called concurrently.
type Resolver struct {
	servers    []netip.AddrPort
	prefix     string
	legacy     bool
	timeout    time.Duration
	maxFlights int // lookups under way
	exchange   exchangeFunc
	metrics    *metrics
	log        *slog.Logger
	found      *cache // answers without an error
	failed     *cache // answers with one

	ctx    context.Context // of all lookups: they outlive the client that began them
	cancel context.CancelFunc

	mu      sync.Mutex // guards what follows
	limits  limiter
	flights map[string]*flight
	closed  bool
	running sync.WaitGroup // the flights' goroutines; Add under mu while not closed
}

// flight is a lookup in progress. Others that want the name wait for done.
type flight struct {
	done   chan struct{}
	answer *entry // written before done is closed
}

// New makes a Resolver.
func New(o Options) *Resolver {
	r := &Resolver{
		servers:    o.Resolvers,
		prefix:     cmp.Or(o.Prefix, "_dstack-app-address"),
		timeout:    cmp.Or(o.Timeout, 5*time.Second),
		maxFlights: cmp.Or(o.MaxLookups, 256),
		exchange:   exchange,
		metrics:    newMetrics(),
		log:        cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		found:      newCache(cmp.Or(o.CacheSize, 4096)),
		failed:     newCache(cmp.Or(o.NegativeCacheSize, 4096)),
		limits:     newLimiter(o.MissesPerSource, cmp.Or(o.MissesPerSecond, 100)),
		flights:    make(map[string]*flight),
	}
	r.legacy = o.Legacy && r.prefix != legacyPrefix
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Cached returns what is remembered for name, as package hello gives it: in lower case. It
// neither blocks, locks nor allocates; if it reports false, Lookup knows more.
func (r *Resolver) Cached(name []byte) (Target, bool) {
	if !isHost(name) {
		return Target{}, false
	}
	e := r.found.get(name)
	if e == nil || !time.Now().Before(e.fresh) {
		return Target{}, false
	}
	return e.target, true
}

// Lookup finds the target of name, as Cached takes it, for a client. It waits for DNS, but no longer
// than ctx and Options.Timeout. The error is one of those above, with details; it
// repeats no more than a few bytes of what strangers sent.
func (r *Resolver) Lookup(ctx context.Context, name string, client netip.Addr) (Target, error) {
	if !isHost(name) {
		return Target{}, fmt.Errorf("%w: %s is not a host name", ErrNotFound, show(name))
	}
	if e := r.remembered([]byte(name)); e != nil {
		return e.target, e.err
	}
	f, err := r.join(name, client)
	if err != nil {
		r.metrics.count(err)
		if e := r.stale([]byte(name)); e != nil {
			return e.target, nil
		}
		return Target{}, err
	}
	select {
	case <-f.done:
		return f.answer.target, f.answer.err
	case <-ctx.Done():
		return Target{}, fmt.Errorf("%w: %w", ErrTemporary, context.Cause(ctx))
	}
}

// Close ends all lookups and waits for them. What is remembered is still returned.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
}

var (
	errClosed = fmt.Errorf("%w: the gateway is stopping", ErrTemporary)
	errBusy   = fmt.Errorf("%w: too many are in progress", ErrLimited)
)

// join takes part in the lookup of host that is under way, else begins one if the
// limits allow.
func (r *Resolver) join(host string, client netip.Addr) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[host]; f != nil {
		return f, nil
	}
	if e := r.remembered([]byte(host)); e != nil { // its lookup ended just now
		f := &flight{done: make(chan struct{}), answer: e}
		close(f.done)
		return f, nil
	}
	switch {
	case r.closed:
		return nil, errClosed
	case len(r.flights) >= r.maxFlights:
		return nil, errBusy
	}
	if err := r.limits.take(client, time.Now()); err != nil {
		return nil, err
	}
	f := &flight{done: make(chan struct{})}
	r.flights[host] = f
	r.running.Go(func() { r.fly(host, f) })
	return f, nil
}

// fly does a lookup and wakes all that wait for it.
func (r *Resolver) fly(host string, f *flight) {
	ctx, cancel := context.WithTimeout(r.ctx, r.timeout)
	defer cancel()
	a := r.recovered(func() answer { return r.search(ctx, host) })
	r.metrics.count(a.err)
	f.answer = r.remember(host, a)

	r.mu.Lock()
	delete(r.flights, host)
	r.mu.Unlock()
	close(f.done)
}

var errPanic = fmt.Errorf("%w: %w", ErrTemporary, ErrInternal)

// recovered is the answer of f, or of a panic in it: what an answer's sender can write
// must not end the process. Like any failure it is remembered for a moment.
func (r *Resolver) recovered(f func() answer) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic; this lookup is ended, please report it", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a = answer{err: errPanic}
		}
	}()
	return f()
}

// remembered is the answer for host that is still good, if there is one.
func (r *Resolver) remembered(host []byte) *entry {
	now := time.Now()
	for _, c := range [...]*cache{r.found, r.failed} {
		if e := c.get(host); e != nil && now.Before(e.fresh) {
			return e
		}
	}
	return nil
}

// stale is the target for host that will do if there is no better one.
func (r *Resolver) stale(host []byte) *entry {
	if e := r.found.get(host); e != nil && time.Now().Before(e.kept) {
		return e
	}
	return nil
}

// remember keeps a, and returns the entry to answer with.
func (r *Resolver) remember(host string, a answer) *entry {
	now := time.Now()
	e := &entry{host: host, target: a.target, err: a.err}
	temporary := errors.Is(a.err, ErrTemporary)
	old := r.stale([]byte(host))
	switch {
	case a.err == nil:
		e.fresh = now.Add(min(max(a.ttl, minFound), maxFound))
		e.kept = e.fresh.Add(maxStale)
		r.found.put(e, now)
	case temporary && old != nil:
		e = &entry{host: host, target: old.target, fresh: now.Add(staleFor), kept: old.kept}
		r.found.put(e, now)
	case temporary:
		e.fresh = now.Add(temporaryFor)
		r.failed.put(e, now)
	default: // known to be gone
		r.found.remove([]byte(host))
		e.fresh = now.Add(absentFor)
		r.failed.put(e, now)
	}
	return e
}
