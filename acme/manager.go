package acme

import (
	"context"
	"slices"
	"sync"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"
)

// Manager keeps the certificates of its domains. All methods may be called
// concurrently; Run only once.
type Manager struct {
	opts        Options
	authorities []*authority // in the order in which they are asked
	leases      *leases
	metrics     metrics
	zap         *zap.Logger
	cache       *certmagic.Cache // Run's

	changed chan struct{} // has room for one: the domains are to be read again

	mu       sync.Mutex // guards what follows
	domains  []Domain
	names    map[string]view          // by name, of the workers
	accounts map[string]accountRecord // by authority
	keys     map[string]keyView       // by domain
	readings uint64                   // of keys, begun
}

// New assembles a Manager; Run works. The options must not be changed afterwards.
func New(o Options) (*Manager, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	m := &Manager{
		opts:     o,
		leases:   newLeases(o.Store, o.Node),
		metrics:  newMetrics(),
		zap:      zap.New(zapCore{o.Log.Handler()}),
		changed:  make(chan struct{}, 1),
		domains:  slices.Clone(o.Domains),
		names:    map[string]view{},
		accounts: map[string]accountRecord{},
		keys:     map[string]keyView{},
	}
	for _, a := range []Authority{o.CA, o.Fallback} {
		if a.Directory != "" {
			m.authorities = append(m.authorities, newAuthority(a, o.Log))
		}
	}
	return m, nil
}

// Run keeps the certificates until ctx ends; it returns nil then. What happens is
// logged and shown by Status.
func (m *Manager) Run(ctx context.Context) error {
	m.cache = newCache(m.zap)
	defer m.cache.Stop()
	defer func() {
		for _, a := range m.authorities {
			a.close()
		}
	}()
	var workers sync.WaitGroup
	defer workers.Wait()
	working := map[string]*job{}
	defer func() {
		for _, j := range working {
			j.stop()
		}
	}()
	for {
		m.reconcile(ctx, working, &workers)
		select {
		case <-ctx.Done():
			return nil
		case <-m.changed:
		}
	}
}

// job is a worker that runs.
type job struct {
	domain string
	stop   context.CancelFunc
	done   chan struct{}
}

// reconcile ends the workers of names that are no longer wanted, and starts others.
func (m *Manager) reconcile(ctx context.Context, working map[string]*job, workers *sync.WaitGroup) {
	wanted := m.wanted()
	for name, j := range working {
		if wanted[name] != j.domain {
			j.stop()
			<-j.done
			delete(working, name)
			m.forget(name)
		}
	}
	for name, domain := range wanted {
		if working[name] != nil {
			continue
		}
		m.mu.Lock()
		served := m.names[name].served // by Load
		m.mu.Unlock()
		ctx, stop := context.WithCancel(ctx)
		j := &job{domain: domain, stop: stop, done: make(chan struct{})}
		working[name] = j
		workers.Go(func() {
			defer close(j.done)
			(&worker{m: m, domain: domain, name: name, served: served}).run(ctx)
		})
	}
}

// Reload changes the domains. Those that stay go on undisturbed. An error changes
// nothing. Certificates of domains that are gone stay in the store.
func (m *Manager) Reload(domains []Domain) error {
	if err := m.opts.checkDomains(domains); err != nil {
		return err
	}
	m.mu.Lock()
	m.domains = slices.Clone(domains)
	m.mu.Unlock()
	select {
	case m.changed <- struct{}{}:
	default: // it is to be read anyway
	}
	return nil
}

// Load serves what the store holds and can be served, so that the first handshakes
// find it, and returns the domains that lack a certificate. It is called before Run.
func (m *Manager) Load(ctx context.Context) (missing []string, err error) {
	for name, domain := range m.wanted() {
		w := &worker{m: m, domain: domain, name: name}
		w.look(ctx)
		if w.served == nil && !slices.Contains(missing, domain) {
			missing = append(missing, domain)
		}
		m.mu.Lock()
		m.names[name] = view{domain: domain, served: w.served}
		m.mu.Unlock()
	}
	slices.Sort(missing)
	return missing, context.Cause(ctx)
}

// wanted are the names to be kept, with their domains.
func (m *Manager) wanted() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := map[string]string{}
	for _, d := range m.domains {
		for _, n := range d.names() {
			names[n] = d.Name
		}
	}
	return names
}

// unlock gives a lease back, also after the end of ctx.
func (m *Manager) unlock(ctx context.Context, release func(context.Context) error) {
	ctx, cancel := cleanUpContext(ctx)
	defer cancel()
	if err := release(ctx); err != nil {
		m.opts.Log.Warn("lock was not released: other gateways wait until it expires", "error", err)
	}
}
