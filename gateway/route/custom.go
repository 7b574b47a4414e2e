package route

import (
	"context"
	"errors"
	"net/netip"

	"sallyport/customdomain"
	"sallyport/relay"
	"sallyport/router"
)

// decideCustom looks up the record of the name's owner: in memory at once, in DNS on a
// goroutine.
func (r *Decider) decideCustom(names *router.Router, name []byte, client netip.AddrPort, d *relay.Decision) {
	if target, ok := r.o.Custom.Cached(name); ok {
		r.decideTarget(names, target, d)
		return
	}
	asked := string(name)
	d.Later = func(ctx context.Context, d *relay.Decision) {
		target, err := r.o.Custom.Lookup(ctx, asked, client.Addr())
		if err == nil {
			r.decideTarget(names, target, d)
			return
		}
		d.Detail = err.Error() // it quotes text of strangers, and bounds it
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

// decideTarget decides for a name whose owner's record names target.
func (r *Decider) decideTarget(names *router.Router, target customdomain.Target, d *relay.Decision) {
	decided := names.RouteTarget(target.ID.Bytes(), target.Port)
	r.pass(&decided, d)
	if decided.Refusal == router.UnknownApp {
		d.Detail = "the TXT record says " + target.String()
	}
}
