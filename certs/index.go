package certs

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/certfile"
	"sallyport/internal/ciphers"
	"sallyport/internal/follow"
	"sallyport/internal/oneline"
)

// Source says where the certificate of a base domain comes from: two files, or the
// caller of Set.
type Source struct {
	Domain   string // without "*."; the certificate is for *.Domain
	CertFile string // PEM: the leaf, then its intermediates
	KeyFile  string // PEM: the private key, not encrypted

	// From names the maker of the certificate, which passes it to Set: "ratls", "acme". The
	// files are empty then, and the domain has no certificate until the first Set.
	From string

	// Apex: the certificate is for Domain itself. A domain may have such a source beside
	// the other; its certificate is handed to SetApex.
	Apex bool
}

// title names the source in messages.
func (s Source) title() string {
	if s.Apex {
		return s.Domain + " itself"
	}
	return s.Domain
}

// name is the name that the certificate must cover.
func (s Source) name() string {
	if s.Apex {
		return s.Domain
	}
	return "*." + s.Domain
}

// Options of an Index. The zero value works.
type Options struct {
	// MinVersion is tls.VersionTLS12 (the default) or tls.VersionTLS13.
	MinVersion uint16
	// CipherSuites are those of TLS 1.2; nil is ciphers.Intermediate.
	CipherSuites []uint16
	// Interval is how often Run looks at the files. Default 5 s.
	Interval time.Duration
	// Log gets warnings about files, and what Run does. Default slog.Default().
	Log *slog.Logger
}

// Index holds the certificate of every domain. All methods may be called concurrently;
// Run only once.
type Index struct {
	opts   Options
	table  atomic.Pointer[table]
	failed prometheus.Counter
	missed prometheus.Counter

	// changing lets one change work at a time, so that an older reading of the
	// files never replaces a newer one. No handshake and no question about the
	// index takes it, so none waits for a disk.
	changing sync.Mutex
	tickets  tickets
}

// table is a set of domains. It is never changed; the certificates change under it.
type table struct {
	domains []*domain // in the order of the sources
	byName  map[string]*domain
	apexes  map[string]*domain
}

// of are those that are, or are not, for the domain itself.
func (t *table) of(apex bool) map[string]*domain {
	if apex {
		return t.apexes
	}
	return t.byName
}

// domain is one base domain. It outlives the table that it is in.
type domain struct {
	source   Source
	index    *Index
	served   atomic.Pointer[pair] // nil: no certificate yet
	problem  follow.Problem       // with the files, as Run logged it; guarded by Index.changing
	loggedAt atomic.Int64         // when it was last logged that there is none, in seconds since 1970
	configs  [len(ready)]*tls.Config

	// awaited: it is there from the start, and the gateway is not ready without it. One
	// that is added later must not take a gateway from its load balancer.
	awaited bool
}

// Open loads and checks the certificates of all sources. The error joins all
// problems, each with the file and what would be right.
func Open(sources []Source, opts Options) (*Index, error) {
	if opts.MinVersion == 0 {
		opts.MinVersion = tls.VersionTLS12
	}
	if opts.MinVersion != tls.VersionTLS12 && opts.MinVersion != tls.VersionTLS13 {
		return nil, fmt.Errorf("certs: minimum version %s: want TLS 1.2 or 1.3", tls.VersionName(opts.MinVersion))
	}
	if opts.CipherSuites == nil {
		opts.CipherSuites = ciphers.Intermediate()
	}
	if opts.Interval <= 0 {
		opts.Interval = 5 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	x := &Index{opts: opts, failed: newFailureCounter(), missed: newMissCounter()}
	if err := x.SetSources(sources); err != nil {
		return nil, err
	}
	return x, nil
}

// SetSources makes these the domains. One whose source stays keeps its certificate and
// its configs; a new one is loaded. On an error, which joins all problems, nothing is
// changed. A connection under way goes on with the config that it has.
func (x *Index) SetSources(sources []Source) error {
	x.changing.Lock()
	defer x.changing.Unlock()
	old := x.table.Load()
	next := &table{byName: make(map[string]*domain, len(sources)), apexes: map[string]*domain{}}
	var problems []error
	for _, s := range sources {
		problems = append(problems, x.add(next, old, s))
	}
	if err := oneline.Join(problems...); err != nil {
		return err
	}
	now := time.Now()
	if x.tickets.due(now) {
		x.tickets.rotate(now)
	}
	x.tickets.give(next.domains)
	x.table.Store(next)
	return nil
}

// add puts the domain of s into next: the one of old, if it is the same.
func (x *Index) add(next, old *table, s Source) error {
	s.Domain = strings.ToLower(s.Domain)
	if next.of(s.Apex)[s.Domain] != nil {
		return fmt.Errorf("certificate of %s: the domain has two sources: want one", s.title())
	}
	var d *domain
	if old != nil {
		d = old.of(s.Apex)[s.Domain]
	}
	fresh := d == nil || d.source != s
	if fresh {
		before := d
		d = &domain{source: s, index: x, awaited: old == nil}
		d.configs = d.newConfigs(x.opts)
		if before != nil && s.From != "" { // served until there is another
			d.served.Store(before.served.Load())
		}
	}
	next.domains = append(next.domains, d)
	next.of(s.Apex)[s.Domain] = d
	if !fresh {
		return nil
	}
	_, err := x.reload(d)
	return err
}

// Ready is nil while each domain that was there from the start has got a certificate,
// and at least one is valid now. Otherwise the error says what is wrong.
func (x *Index) Ready() error {
	now := time.Now()
	var problems []error
	serving, waiting := false, false
	for _, d := range x.table.Load().domains {
		p := d.served.Load()
		var err error
		if p == nil {
			waiting = waiting || d.awaited
			err = d.noCertificate()
		} else if err = certfile.CheckTime(p.cert.Leaf, now); err == nil {
			serving = true
			continue
		}
		problems = append(problems, fmt.Errorf("certificate of %s: %w", d.source.title(), err))
	}
	switch {
	case serving && !waiting:
		return nil
	case len(problems) == 0:
		return errors.New("certificates: no domain is configured")
	}
	return oneline.Join(problems...)
}

// Status is the certificate that a domain serves.
type Status struct {
	Domain   string
	Apex     bool      // it is for Domain itself, not for *.Domain
	NotAfter time.Time // zero, as are the next two: it has none yet
	Serial   string    // hexadecimal
	Issuer   string    // distinguished name, RFC 2253
	Source   string    // the file it came from, or its maker
}

// Status returns the state of every domain, in the order of the sources.
func (x *Index) Status() []Status {
	domains := x.table.Load().domains
	list := make([]Status, len(domains))
	for i, d := range domains {
		list[i] = Status{Domain: d.source.Domain, Apex: d.source.Apex, Source: cmp.Or(d.source.From, d.source.CertFile)}
		if p := d.served.Load(); p != nil {
			leaf := p.cert.Leaf
			list[i].NotAfter, list[i].Serial, list[i].Issuer = leaf.NotAfter, leaf.SerialNumber.Text(16), leaf.Issuer.String()
		}
	}
	return list
}
