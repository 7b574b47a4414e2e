package pccs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// Options are the options of a Client. The zero value asks Intel, then Phala, and stores
// documents only in memory.
type Options struct {
	// URLs are servers, asked in this order until one has all documents: Intel's PCS, or a
	// PCCS such as https://pccs.example.com. Nil is Intel's PCS, then Phala's PCCS.
	URLs []string

	// Dir is a directory for documents, so that a restart needs no server. Only the client
	// may use it. The client makes it if it is missing. "" stores documents only in memory.
	Dir string

	// HTTP makes the requests; nil is a client that uses the environment's proxies. In
	// either case redirections are refused, and times and sizes are bounded.
	HTTP *http.Client

	// Root is the root of the documents' signatures; nil is Intel's root. Another one is
	// for tests.
	Root *x509.Certificate

	// OnChange is called after documents for a platform were fetched that differ from the
	// current ones, or are the first. It may be called concurrently. It may call
	// Collateral, but not Close.
	OnChange func(Platform)

	Log *slog.Logger // nil discards
}

// ErrUnavailable is wrapped by every error of Collateral: no server has the documents, or
// none that can be used. It says nothing about a quote.
var ErrUnavailable = errors.New("collateral unavailable")

const (
	failedFor    = 30 * time.Second // a failure is cached, so that a dead PCCS is not asked at every registration
	maxPlatforms = 128              // Intel has some dozens; each takes about 25 kB
	maxFlights   = 32
)

// Client fetches collateral and stores it. All methods may be called concurrently.
type Client struct {
	servers  []server
	http     *http.Client
	disk     disk
	root     *x509.Certificate
	onChange func(Platform)
	log      *slog.Logger

	ctx    context.Context // of all flights: they outlive the caller that started them
	cancel context.CancelFunc

	mu      sync.Mutex // guards the fields below; not held over I/O
	held    map[Platform]*entry
	failed  map[Platform]failure
	flights map[Platform]*flight
	closed  bool
	running sync.WaitGroup // the flights' goroutines; Add under mu while not closed
}

type failure struct {
	err   error
	until time.Time
}

// flight is the fetching of a platform's documents. All callers that need them wait for done.
type flight struct {
	done  chan struct{}
	entry *entry // with err, written before done is closed
	err   error
}

// New returns a Client. It does no I/O. It returns an error if Options.URLs are invalid. Call
// Close when the client is no longer used.
func New(o Options) (*Client, error) {
	if o.URLs == nil {
		o.URLs = []string{"https://api.trustedservices.intel.com", "https://pccs.phala.network"}
	}
	if len(o.URLs) == 0 || len(o.URLs) > maxServers {
		return nil, fmt.Errorf("%d PCCS URLs: want 1 to %d", len(o.URLs), maxServers)
	}
	c := &Client{
		http:     httpClient(o.HTTP),
		disk:     disk{o.Dir},
		root:     orIntel(o.Root),
		onChange: o.OnChange,
		log:      o.Log,
		held:     make(map[Platform]*entry),
		failed:   make(map[Platform]failure),
		flights:  make(map[Platform]*flight),
	}
	for _, u := range o.URLs {
		s, err := parseServer(u)
		if err != nil {
			return nil, err
		}
		c.servers = append(c.servers, s)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Collateral returns the documents of p, verified and valid now. Without current documents it
// waits for the disk and the servers until ctx ends. The error wraps ErrUnavailable. The
// caller must not change the documents.
func (c *Client) Collateral(ctx context.Context, p Platform) (*qvl.Collateral, error) {
	e, err := c.get(ctx, p)
	if err != nil {
		return nil, err
	}
	return e.docs, nil
}

// Prepared returns what Collateral does, in the form for verification. It returns the same
// pointer until the documents change.
func (c *Client) Prepared(ctx context.Context, p Platform) (*qvl.Prepared, error) {
	e, err := c.get(ctx, p)
	if err != nil {
		return nil, err
	}
	return e.prepared, nil
}

// Close ends all fetching and waits for it, including calls of OnChange. Collateral still
// returns current documents after it.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
	c.http.CloseIdleConnections()
}

var (
	errClosed = errors.New("the client is closed")
	errBusy   = fmt.Errorf("%d fetches are already running", maxFlights)
)

// get returns the current documents of p, and fetches them if there are none.
func (c *Client) get(ctx context.Context, p Platform) (*entry, error) {
	if p.CA != tdx.Processor && p.CA != tdx.Platform {
		return nil, fmt.Errorf("%w for %s: no such authority", ErrUnavailable, p)
	}
	if e := c.current(p); e != nil {
		return e, nil
	}
	f, err := c.join(p, false)
	if err == nil {
		select {
		case <-f.done:
			err = f.err
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w for %s: %w", ErrUnavailable, p, err)
	}
	return f.entry, nil
}

// current returns the documents of p in memory, nil if there are none that are valid now.
func (c *Client) current(p Platform) *entry {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.held[p]
	if e == nil || !e.holds(now) {
		return nil
	}
	e.used = now
	return e
}

// join returns the running flight for p, or starts one. With again it ignores a cached failure.
func (c *Client) join(p Platform, again bool) (*flight, error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[p]; f != nil {
		return f, nil
	}
	if f, ok := c.failed[p]; ok && !again && now.Before(f.until) {
		return nil, f.err
	}
	switch {
	case c.closed:
		return nil, errClosed
	case len(c.flights) >= maxFlights:
		return nil, errBusy
	}
	f := &flight{done: make(chan struct{})}
	c.flights[p] = f
	c.running.Go(func() { c.fly(p, f, again) })
	return f, nil
}

// fly searches and reports the outcome to all that wait.
func (c *Client) fly(p Platform, f *flight, again bool) {
	old := c.current(p)
	changed := false
	if f.entry = old; again || old == nil { // else a search has just ended
		f.entry, changed, f.err = c.searchSafely(p, old)
	}
	c.mu.Lock()
	delete(c.flights, p)
	if f.err != nil {
		c.rememberFailure(p, f.err)
	}
	c.mu.Unlock()
	close(f.done)
	if changed && c.onChange != nil {
		c.onChange(p)
	}
}

// searchSafely is search, with a panic as an error: an answer of a server must not end the
// process.
func (c *Client) searchSafely(p Platform, old *entry) (e *entry, changed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("panic while fetching collateral; report it as a bug",
				"platform", p.String(), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			e, changed, err = nil, false, fmt.Errorf("%w: the fetch ended with a panic", ErrUnavailable)
		}
	}()
	return c.search(p, old)
}

// search returns the documents of p: from the disk if memory has none, else from a server.
func (c *Client) search(p Platform, old *entry) (e *entry, changed bool, err error) {
	if old == nil {
		if e := c.load(p); e != nil {
			c.hold(p, e)
			return e, false, nil
		}
	}
	if e, err = c.fetch(c.ctx, p, old); err != nil {
		return nil, false, err
	}
	changed = old == nil || !same(old.docs, e.docs)
	if !changed { // so that verdicts which are kept with them stand
		e.docs, e.prepared = old.docs, old.prepared
	}
	c.hold(p, e)
	if err := c.disk.save(p, e.docs); err != nil {
		c.log.Warn("cannot store collateral on disk; after a restart a PCCS must answer", "platform", p.String(), "error", err)
	}
	return e, changed, nil
}
