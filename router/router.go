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
	random   func() uint64 // called by several threads at once
}

// Decision is what becomes of a connection. Unless it is refused, App and at least
// one Candidate are set.
type Decision struct {
	Refusal Refusal
	Detail  string // more about the refusal, for the log; may be empty

	Domain string // the served domain the name is in, in lower case
	Mode   Mode   // Undecided if there is no good name
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
		random:   rand.Uint64,
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
	switch {
	case len(serverName) == 0:
		d.Refusal = NoServerName
	case len(serverName) > maxName:
		d.Refusal = UnknownDomain
	case !hasUpper(serverName):
		r.route(&d, serverName)
	default:
		r.routeFolded(&d, serverName)
	}
	return d
}

// routeFolded is apart so that only a name with upper case pays for the room.
func (r *Router) routeFolded(d *Decision, name []byte) {
	var lower [maxName]byte
	r.route(d, fold(lower[:len(name)], name))
}

// route decides for a name in lower case.
//
// With many apps most of the time is waiting for memory. So the lookup comes first,
// though its result is needed last and the label may yet be a bad one: while it
// waits, the processor goes on with what does not depend on it.
func (r *Router) route(d *Decision, name []byte) {
	label, rest := cutLabel(name)
	app, inst := r.snapshot().Lookup(cutID(label))

	domain, served := r.domains[string(rest)]
	if !served { // RouteTarget is for those
		d.Refusal = UnknownDomain
		return
	}
	d.Domain = domain
	parsed, err := ParseName(label)
	if err != nil {
		d.Refusal, d.Detail = BadName, err.Error()
		return
	}
	d.Mode, d.Port = parsed.Mode, parsed.Port
	r.pick(d, app, inst)
}

// pick chooses among what a lookup has found.
func (r *Router) pick(d *Decision, app *vm.App, inst *vm.Instance) {
	d.App = app
	switch {
	case app == nil:
		d.Refusal = UnknownApp
	case inst != nil:
		d.Refusal = d.take(inst)
	default:
		d.Refusal = d.choose(app, dice(r.random()))
	}
}

// cutLabel cuts the first label off a name. What is left must be a served domain,
// so names with more or fewer labels are nobody's: a wildcard certificate covers one.
func cutLabel(name []byte) (label, rest []byte) {
	name = bytes.TrimSuffix(name, []byte("."))
	if i := bytes.IndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, nil
}

// maxName is the longest name in bytes (RFC 1035, 2.3.4), with the dot at its end.
const maxName = 253 + 1

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
