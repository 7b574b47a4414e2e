package router

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"sallyport/internal/vm"
)

// MaxCandidates is how many instances a Decision may name: one to dial, two to
// hedge with.
const MaxCandidates = 3

// Options tell a Router what it needs.
type Options struct {
	// Domains are the served domains, without "*.".
	Domains []string

	// Snapshot tells what there is now. It is called for each connection, by several
	// threads at once.
	Snapshot func() *vm.Snapshot
}

// Router decides. It is immutable; its methods may be called concurrently.
type Router struct {
	domains  map[string]string // to themselves, so that a hit needs no new string
	snapshot func() *vm.Snapshot
	random   func(n uint32) uint32 // in [0, n)
}

// Decision is what becomes of a connection. Unless it is refused, App and at least
// one Candidate are set.
type Decision struct {
	Refusal Refusal
	Detail  string // more about the refusal, for the log; may be empty

	Domain string // the served domain the name is in, in lower case
	Mode   Mode
	Port   uint16 // of the instance
	App    *vm.App

	Candidates [MaxCandidates]Candidate // the first N, in the order in which to dial
	N          int
}

// Candidate is an instance to try. SendProxy says that it wants a PROXY header on
// the Decision's port.
type Candidate struct {
	Instance  *vm.Instance
	SendProxy bool
}

// New makes a Router.
func New(o Options) *Router {
	r := &Router{
		domains:  make(map[string]string, len(o.Domains)),
		snapshot: o.Snapshot,
		random:   rand.Uint32N,
	}
	for _, d := range o.Domains {
		d = strings.ToLower(strings.TrimSuffix(d, "."))
		r.domains[d] = d
	}
	return r
}

// Route decides for a client that asked for serverName, as it stands in the hello.
// It keeps nothing of it.
func (r *Router) Route(serverName []byte) (d Decision) {
	if len(serverName) == 0 {
		d.Refusal = NoServerName
		return d
	}
	label, domain, served := r.split(serverName)
	if !served { // a custom domain would be looked up here
		d.Refusal = UnknownDomain
		return d
	}
	d.Domain = domain
	name, err := ParseName(label)
	if err != nil {
		d.Refusal, d.Detail = BadName, err.Error()
		return d
	}
	d.Mode, d.Port = name.Mode, name.Port

	app, inst := r.snapshot().Lookup(name.ID.Bytes())
	d.App = app
	switch {
	case app == nil:
		d.Refusal = UnknownApp
	case inst != nil:
		d.Refusal = d.take(inst)
	default:
		d.Refusal = d.choose(app, r.random)
	}
	return d
}

// split cuts the first label off a name whose rest is a served domain. All names
// with more or fewer labels are nobody's: a wildcard certificate covers one.
func (r *Router) split(name []byte) (label []byte, domain string, served bool) {
	name = bytes.TrimSuffix(name, []byte("."))
	label, rest, _ := bytes.Cut(name, []byte("."))
	domain, served = r.domains[string(rest)]
	if !served && len(rest) <= maxDomain {
		var lower [maxDomain]byte
		domain, served = r.domains[string(fold(lower[:len(rest)], rest))]
	}
	return label, domain, served
}

// maxDomain is the longest name in bytes (RFC 1035, 2.3.4).
const maxDomain = 253

// fold writes name to lower, in lower case as far as it is ASCII.
func fold(lower, name []byte) []byte {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return lower
}
