package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"

	"sallyport/customdomain"
	"sallyport/internal/hello"
	"sallyport/relay"
	"sallyport/router"
)

// route joins those that do not know each other: the router's decision, the
// certificates and the custom domains become the relay's decision.
func (g *gateway) route(h *hello.Hello, client netip.AddrPort, d *relay.Decision) {
	now := g.domainsNow.Load()
	if domain := now.apex(h.ServerName); domain != "" {
		g.routeApex(domain, h, d)
		return
	}
	decided := now.router.Route(h.ServerName)
	switch {
	case decided.Refusal == router.UnknownDomain && g.domains != nil && !now.isOurs(h.ServerName):
		g.routeCustom(now.router, h.ServerName, client, d)
	case decided.Refusal == router.UnknownApp:
		g.routeOwn(&decided, h, d)
	default:
		g.decide(&decided, h, d)
	}
}

// decide makes the router's decision the relay's.
func (g *gateway) decide(decided *router.Decision, h *hello.Hello, d *relay.Decision) {
	g.adopt(decided, d)
	if d.Refuse != 0 || decided.Mode == router.Passthrough {
		return
	}
	protocol, refusal := decided.Mode.ALPN(h.ALPN)
	if g.end(decided.Domain, protocol, d); d.Refuse != 0 {
		return
	}
	if refusal != router.None {
		d.Refuse, d.Detail = refusals[refusal], otherName(h)
		return
	}
	g.upstream.secure(decided, h.ServerName, protocol, d)
}

// end has a connection to a name below the domain end here.
func (g *gateway) end(domain, protocol string, d *relay.Decision) {
	if d.TLS = g.certs.TLSConfig(domain, protocol); d.TLS == nil {
		d.Refuse, d.Detail = relay.UnknownDomain, "[[domain]] wildcard = false: there is no certificate for such names"
	}
}

// otherName says which name serves what a client offers that offers nothing that the
// name it asks for serves.
func otherName(h *hello.Hello) string {
	label, _, _ := bytes.Cut(bytes.ToLower(h.ServerName), []byte("."))
	name, err := router.ParseName(label)
	switch {
	case err != nil: // a name that is refused before anybody looks at ALPN
		return ""
	case isValidation(h.ALPN):
		return noValidation
	case name.Mode == router.TerminateH2:
		name.Mode = router.Terminate
		return "h2 is not offered: " + name.String() + " is the name for other protocols"
	}
	name.Mode = router.TerminateH2
	return "HTTP/2 alone is offered: " + name.String() + " is the name for it"
}

// adopt is decide for a connection that is passed through.
func (g *gateway) adopt(decided *router.Decision, d *relay.Decision) {
	d.Mode = modes[decided.Mode]
	if decided.App != nil {
		d.App = string(decided.App.ID)
	}
	if decided.Refusal != router.None {
		d.Refuse, d.Detail = refusals[decided.Refusal], decided.Detail
		return
	}
	if !g.leaveOutOwn(decided) {
		d.Refuse, d.Detail = relay.OwnListener, "the gateway itself listens at the instance's address and port"
		return
	}
	d.Limit, d.Share = decided.App.Open, g.cfg.Proxy.MaxConnectionsPerAppAndSource
	d.ProxyTLVs = g.proxyTLVs.has(decided.App.ID)
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

// routeCustom asks what the name's owner says in DNS: what is remembered at once,
// anything else on a goroutine.
func (g *gateway) routeCustom(r *router.Router, name []byte, client netip.AddrPort, d *relay.Decision) {
	if target, ok := g.domains.Cached(name); ok {
		g.routeTarget(r, target, d)
		return
	}
	asked := string(name)
	d.Later = func(ctx context.Context, d *relay.Decision) {
		target, err := g.domains.Lookup(ctx, asked, client.Addr())
		if err == nil {
			g.routeTarget(r, target, d)
			return
		}
		d.Detail = err.Error() // which quotes what strangers wrote, and bounds it
		switch {
		case errors.Is(err, customdomain.ErrLimited):
			d.Refuse = relay.LookupLimit
		case errors.Is(err, customdomain.ErrInternal):
			d.Refuse = relay.Internal
		case errors.Is(err, customdomain.ErrTemporary):
			d.Refuse = relay.LookupFailed
		default:
			d.Refuse = relay.UnknownDomain
		}
	}
}

// routeTarget decides for a connection whose name's owner says that target serves it.
func (g *gateway) routeTarget(r *router.Router, target customdomain.Target, d *relay.Decision) {
	decided := r.RouteTarget(target.ID.Bytes(), target.Port)
	g.adopt(&decided, d)
	if decided.Refusal == router.UnknownApp {
		d.Detail = "the TXT record says " + target.String()
	}
}

var modes = [...]relay.Mode{
	router.Undecided:   relay.Undecided,
	router.Terminate:   relay.Terminate,
	router.TerminateH2: relay.TerminateH2,
	router.Passthrough: relay.Passthrough,
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
