package router

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"sallyport/internal/hello"
	"sallyport/internal/vm"
)

// MaxCandidates is how many instances a Decision may name: one to dial, two to
// hedge with.
const MaxCandidates = 3

// Options configure a Router.
type Options struct {
	// Domains are the served domains, without "*.".
	Domains []string

	// Snapshot returns the present apps and instances. It is called for each connection,
	// by several threads at once.
	Snapshot func() *vm.Snapshot
}

// Router decides. It is immutable; its methods may be called concurrently.
type Router struct {
	domains  map[string]string // to themselves, so that a hit needs no new string
	snapshot func() *vm.Snapshot
	random   func(n uint32) uint32 // below n; called by several threads at once
}

// Decision says how to serve a connection. Unless it is refused, App and at least
// one Candidate are set.
type Decision struct {
	Refusal Refusal
	Detail  string // more about the refusal, for the log; may be empty

	Domain string     // the served domain the name is in, in lower case
	Mode   hello.Mode // Undecided if there is no good name
	Port   uint16     // of the instance
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

// Route decides for a client that asked for serverName, in the form that package hello
// gives it. It keeps nothing of it.
//
// The name must be one label below a served domain: a wildcard certificate covers no more.
func (r *Router) Route(serverName []byte) (d Decision) {
	if len(serverName) == 0 {
		d.Refusal = NoServerName
		return d
	}
	label, rest, _ := bytes.Cut(serverName, []byte("."))
	domain, served := r.domains[string(rest)]
	if !served { // RouteTarget is for those
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
	app, inst := r.snapshot().Lookup(name.ID)
	r.pick(&d, app, inst)
	return d
}

// pick chooses among the result of a lookup.
func (r *Router) pick(d *Decision, app *vm.App, inst *vm.Instance) {
	d.App = app
	switch {
	case app == nil:
		d.Refusal = UnknownApp
	case inst != nil:
		d.Refusal = d.take(inst)
	default:
		d.Refusal = d.choose(app, r.random)
	}
}
