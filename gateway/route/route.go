package route

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/netip"
	"sync/atomic"

	"sallyport/config"
	"sallyport/customdomain"
	"sallyport/internal/hello"
	"sallyport/internal/vm"
	"sallyport/relay"
	"sallyport/router"
)

// Certificates are those of the served domains: certs.Index.
type Certificates interface {
	// TLSConfig returns how a connection to a name below domain ends here with protocol,
	// nil where there is no certificate for such names.
	TLSConfig(domain, protocol string) *tls.Config
	// ApexTLSConfig is TLSConfig for the domain's own name.
	ApexTLSConfig(domain, protocol string) *tls.Config
}

// CustomDomains finds what serves names outside of the served domains:
// customdomain.Resolver.
type CustomDomains interface {
	Cached(name []byte) (customdomain.Target, bool)
	Lookup(ctx context.Context, name string, client netip.Addr) (customdomain.Target, error)
}

// Listeners are the addresses where this process listens: selfdial.Listeners.
type Listeners interface {
	Contain(to netip.AddrPort) bool
}

// Options are what decisions need of the gateway.
type Options struct {
	Domains      []config.Domain
	Snapshot     func() *vm.Snapshot // what is served now
	Certificates Certificates
	Listeners    Listeners
	Site         *Site // the gateway's own

	// Challenge returns the certificate that answers a validation of name, if one is under
	// way. nil: none ever is.
	Challenge func(name string) (*tls.Certificate, bool)
	// Custom is nil where names outside of Domains are not looked up.
	Custom CustomDomains
	// InstanceTLS is for apps that SetUpstreams lists. nil: none may be listed.
	InstanceTLS InstanceTLS
	// MaxPerAppAndSource bounds the connections of one client address to one app; 0 is no
	// limit.
	MaxPerAppAndSource int
}

// Decider decides where connections go. Its methods may be called concurrently.
type Decider struct {
	o         Options
	domains   atomic.Pointer[domains] // in force; SetDomains replaces them
	upstreams upstreams
	proxyTLVs appList
}

// New makes a Decider. No app is listed for SetUpstreams or SetProxyTLVs.
func New(o Options) *Decider {
	r := &Decider{o: o, upstreams: upstreams{attested: o.InstanceTLS}}
	r.SetDomains(o.Domains)
	return r
}

// SetDomains replaces the served domains, for connections to come.
func (r *Decider) SetDomains(all []config.Domain) { r.domains.Store(newDomains(all, r.o.Snapshot)) }

// Domains returns the served domains, which must not be changed.
func (r *Decider) Domains() []config.Domain { return r.domains.Load().all }

// SetUpstreams makes apps those whose connections are encrypted again up to the instance.
// Open connections stay as they are.
func (r *Decider) SetUpstreams(apps config.AppSet) error { return r.upstreams.set(apps) }

// SetProxyTLVs makes apps those that learn in PROXY headers all that is known.
func (r *Decider) SetProxyTLVs(apps config.AppSet) { r.proxyTLVs.set(apps) }

// Decide decides where a connection with the hello goes: it is relay.Options.Route.
func (r *Decider) Decide(h *hello.Hello, client netip.AddrPort, d *relay.Decision) {
	now := r.domains.Load()
	if domain := now.apex(h.ServerName); domain != "" {
		r.decideApex(domain, h, d)
		return
	}
	decided := now.router.Route(h.ServerName)
	switch {
	case decided.Refusal == router.UnknownDomain && r.o.Custom != nil && !now.isOurs(h.ServerName):
		r.decideCustom(now.router, h.ServerName, client, d)
	case decided.Refusal == router.UnknownApp && isSite(h.ServerName):
		r.end(decided.Domain, r.leadToSite(h, d), d)
	default:
		r.decideApp(&decided, h, d)
	}
}

// decideApp decides for a name below a served domain.
func (r *Decider) decideApp(decided *router.Decision, h *hello.Hello, d *relay.Decision) {
	r.pass(decided, d)
	if d.Refuse != 0 || decided.Mode == hello.Passthrough {
		return
	}
	protocol, refusal := router.ALPN(decided.Mode, h.ALPN)
	if r.end(decided.Domain, protocol, d); d.Refuse != 0 {
		return
	}
	if refusal != router.None {
		d.Refuse, d.Detail = refusals[refusal], otherName(h)
		return
	}
	r.upstreams.secure(decided, h.ServerName, protocol, d)
}

// pass decides for a connection as if it were passed through: whether an instance may
// receive it, and which.
func (r *Decider) pass(decided *router.Decision, d *relay.Decision) {
	d.Mode = decided.Mode
	if decided.App != nil {
		d.App = string(decided.App.ID)
	}
	if decided.Refusal != router.None {
		d.Refuse, d.Detail = refusals[decided.Refusal], decided.Detail
		return
	}
	if !leaveOutOwn(r.o.Listeners, decided) {
		d.Refuse, d.Detail = relay.OwnListener, "the gateway itself listens at the instance's address and port"
		return
	}
	d.Limit, d.Share = decided.App.Open, r.o.MaxPerAppAndSource
	d.ProxyTLVs = r.proxyTLVs.has(decided.App.ID)
	d.N = decided.N
	for i, c := range decided.Candidates[:decided.N] {
		d.Backends[i] = relay.Backend{
			Addr:      netip.AddrPortFrom(c.Instance.Addr, decided.Port),
			Name:      string(c.Instance.ID),
			Watch:     c.Instance.Live,
			SendProxy: c.SendProxy,
		}
	}
}

// end ends a connection to a name below the domain here.
func (r *Decider) end(domain, protocol string, d *relay.Decision) {
	if d.TLS = r.o.Certificates.TLSConfig(domain, protocol); d.TLS == nil {
		d.Refuse, d.Detail = relay.UnknownDomain, "[[domain]] wildcard = false: there is no certificate for such names"
	}
}

// otherName returns which name serves the client, where the name that it asks for serves
// none of the protocols that it offers.
func otherName(h *hello.Hello) string {
	label, _, _ := bytes.Cut(h.ServerName, []byte("."))
	name, err := router.ParseName(label)
	switch {
	case err != nil: // such a name is refused before ALPN counts
		return ""
	case h.ALPN.Only(hello.ACMETLS1):
		return noValidation
	case name.Mode == hello.TerminateH2:
		name.Mode = hello.Terminate
		return "h2 is not offered: " + name.String() + " is the name for other protocols"
	}
	name.Mode = hello.TerminateH2
	return "HTTP/2 alone is offered: " + name.String() + " is the name for it"
}

var refusals = [...]relay.Reason{
	router.NoServerName:      relay.NoServerName,
	router.UnknownDomain:     relay.UnknownDomain,
	router.BadName:           relay.BadName,
	router.UnknownApp:        relay.UnknownApp,
	router.NoHealthyInstance: relay.NoHealthyInstance,
	router.PolicyUnknown:     relay.PortDenied,
	router.PortDenied:        relay.PortDenied,
	router.NoProtocol:        relay.NoProtocol,
	router.AppLimit:          relay.AppLimit,
}
