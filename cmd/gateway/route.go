package main

import (
	"net/netip"

	"sallyport/certs"
	"sallyport/internal/hello"
	"sallyport/relay"
	"sallyport/router"
)

// routeFunc joins the two that do not know each other: the router's decision
// becomes the relay's.
func routeFunc(r *router.Router, index *certs.Index) func(*hello.Hello, netip.AddrPort, *relay.Decision) {
	return func(h *hello.Hello, _ netip.AddrPort, d *relay.Decision) {
		decided := r.Route(h.ServerName)
		d.Mode = modes[decided.Mode]
		if decided.App != nil {
			d.App = string(decided.App.ID)
		}
		if decided.Refusal != router.None {
			d.Refuse = refusals[decided.Refusal]
			return
		}
		d.Limit = decided.App.Open
		d.N = decided.N
		for i, c := range decided.Candidates[:decided.N] {
			d.Backends[i] = relay.Backend{
				Addr:      netip.AddrPortFrom(c.Instance.Addr, decided.Port),
				Name:      string(c.Instance.ID),
				Watch:     c.Instance.Live,
				SendProxy: c.SendProxy,
			}
		}
		if decided.Mode == router.Passthrough {
			return
		}
		protocol, refusal := decided.Mode.ALPN(h.ALPN.Empty(), h.ALPN.Offers)
		if refusal != router.None {
			d.Refuse = refusals[refusal]
			return
		}
		d.TLS = index.TLSConfig(decided.Domain, alpns[protocol])
	}
}

var modes = [...]relay.Mode{
	router.Terminate:   relay.Terminate,
	router.TerminateH2: relay.TerminateH2,
	router.Passthrough: relay.Passthrough,
}

var alpns = map[string]certs.ALPN{
	"": certs.ALPNNone, "http/1.1": certs.ALPNHTTP1, "postgresql": certs.ALPNPostgreSQL, "h2": certs.ALPNH2,
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
