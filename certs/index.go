package certs

import (
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
)

// Source says where the certificate of a base domain comes from.
type Source struct {
	Domain   string // without "*."; the certificate is for *.Domain
	CertFile string // PEM: the leaf, then its intermediates
	KeyFile  string // PEM: the private key, not encrypted
}

// Options of an Index. The zero value works.
type Options struct {
	// MinVersion is tls.VersionTLS12 (the default) or tls.VersionTLS13.
	MinVersion uint16
	// Interval is how often Run looks at the files. Default 5 s.
	Interval time.Duration
	// Log gets warnings about files, and what Run does. Default slog.Default().
	Log *slog.Logger
}

// Index holds the certificate of every domain. The set of domains is fixed, the
// certificates change under them. All methods may be called concurrently; Run
// only once.
type Index struct {
	opts    Options
	domains []*domain          // in the order of the sources
	byName  map[string]*domain // never written after Open
	tickets tickets            // Run's
	failed  prometheus.Counter

	// reloading lets one reload work at a time, so that an older reading of the
	// files never replaces a newer one. Nothing else takes it: no handshake
	// and no question about the index waits for a disk.
	reloading sync.Mutex
}

// domain is one base domain.
type domain struct {
	source  Source
	served  atomic.Pointer[pair]
	configs [alpnCount]*tls.Config
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
	if opts.Interval <= 0 {
		opts.Interval = 5 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	x := &Index{opts: opts, byName: make(map[string]*domain, len(sources)), failed: newFailureCounter()}
	var problems []error
	for _, s := range sources {
		problems = append(problems, x.add(s))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	x.tickets.rotate(time.Now(), x.domains)
	return x, nil
}

func (x *Index) add(s Source) error {
	s.Domain = strings.ToLower(s.Domain)
	if x.byName[s.Domain] != nil {
		return fmt.Errorf("certificate of %s: the domain has two sources: want one", s.Domain)
	}
	d := &domain{source: s}
	x.domains = append(x.domains, d)
	x.byName[s.Domain] = d
	d.configs = d.newConfigs(x.opts.MinVersion)
	_, err := x.reload(d)
	return err
}

// Ready is nil while at least one domain has a certificate that is valid now.
// Otherwise the error says what is wrong with each.
func (x *Index) Ready() error {
	now := time.Now()
	var problems []error
	for _, d := range x.domains {
		leaf := d.served.Load().cert.Leaf
		if err := certfile.CheckTime(leaf, now); err != nil {
			problems = append(problems, fmt.Errorf("certificate of %s: %w", d.source.Domain, err))
			continue
		}
		return nil
	}
	if len(problems) == 0 {
		return errors.New("certificates: no domain is configured")
	}
	return errors.Join(problems...)
}

// Status is the certificate that a domain serves.
type Status struct {
	Domain   string
	NotAfter time.Time
	Serial   string // hexadecimal
	Issuer   string // distinguished name, RFC 2253
	Source   string // the file it came from
}

// Status tells of every domain, in the order of the sources.
func (x *Index) Status() []Status {
	list := make([]Status, len(x.domains))
	for i, d := range x.domains {
		leaf := d.served.Load().cert.Leaf
		list[i] = Status{
			Domain:   d.source.Domain,
			NotAfter: leaf.NotAfter,
			Serial:   leaf.SerialNumber.Text(16),
			Issuer:   leaf.Issuer.String(),
			Source:   d.source.CertFile,
		}
	}
	return list
}
