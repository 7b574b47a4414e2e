package route

import (
	"context"
	"net"

	"sallyport/acme"
	"sallyport/internal/hello"
	"sallyport/internal/vm"
	"sallyport/relay"
)

// tls-alpn-01 (RFC 8737) on the port for clients. An authority that validates a name offers
// acme-tls/1 and no other protocol. For names that end here, only a challenge of the gateway
// is answered, and any other such hello is refused: an instance behind such a name must
// not be able to prove control of it. Connections that are passed through, to custom domains
// too, are left to the instance.
//
// It runs on the loops' threads: the challenges are looked up in memory, under a lock
// that is never held for longer than that.

const noValidation = "no validation of this name is under way"

// answerValidation decides for a validation of a domain's own name. Below it no name is
// ever validated, and router.ALPN refuses all that try.
func (r *Decider) answerValidation(name string, d *relay.Decision) {
	if r.o.Challenge != nil {
		if cert, ok := r.o.Challenge(name); ok {
			d.Mode, d.App, d.TLS = hello.Terminate, vm.OwnName, acme.ALPNConfig(cert)
			d.Backends[0] = relay.Backend{Name: "validation", Dial: nothing}
			d.N = 1
			d.Limit, d.Share = r.o.Site.places, r.o.Site.share
			return
		}
	}
	d.Mode, d.N = hello.Terminate, 0
	d.Refuse, d.Detail = relay.NoProtocol, noValidation
}

// nothing is a relay.Backend's Dial that leads nowhere: the handshake is the answer,
// and the connection ends after it (RFC 8737, 3).
func nothing(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	return near, far.Close()
}
