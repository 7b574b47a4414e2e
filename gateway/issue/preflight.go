package issue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/acme"
	"sallyport/acme/caa"
)

// Before each order DNS is asked whether it can succeed, and the CAA records that the
// gateway publishes itself are brought up to date.

// pinInterval is how often Run brings the CAA records up to date. Orders, which change the
// accounts, do so too.
const pinInterval = 10 * time.Minute

// preflight asks DNS whether an order can succeed.
func (i *Issuer) preflight(ctx context.Context, o acme.Order) error {
	domain, wildcard := strings.CutPrefix(o.Name, "*.")
	if i.zones != nil {
		if err := i.prepare(ctx, domain, o); err != nil {
			return err
		}
	}
	if !i.cfg.CAA {
		return nil
	}
	err := caa.Check(ctx, i.resolver, caa.Request{
		Name: domain, Wildcard: wildcard, Identities: caa.Identities(o.Directory, o.Identities), AccountURI: o.Account, Method: o.Challenge,
	})
	if errors.Is(err, caa.ErrUnidentified) { // a private authority, which may ignore the records
		i.log.Warn("cannot find out whether the CAA records permit the order", "name", o.Name, "error", err)
		return nil
	}
	return err
}

// prepare makes the name server in this process ready for an order: its CAA records permit
// it, and the questions for the challenges of domain come here.
func (i *Issuer) prepare(ctx context.Context, domain string, o acme.Order) error {
	if i.cfg.CAA {
		if o.Directory != text(i.cfg.Directory) && o.Directory != text(i.cfg.Fallback.Directory) {
			i.zones.rehearse(caa.Account{Directory: o.Directory, URI: o.Account, Identities: o.Identities})
		}
		if err := i.zones.pin(ctx); err != nil {
			return err
		}
	}
	if err := i.zones.lead(ctx, i.resolver, domain); err != nil {
		return fmt.Errorf("%w (asked of %v, [acme] resolvers)", err, i.resolver.Servers)
	}
	return nil
}

// keepPins keeps the published CAA records up to date with the accounts.
func (i *Issuer) keepPins(ctx context.Context) error {
	tick := time.NewTicker(pinInterval)
	defer tick.Stop()
	for {
		if err := i.zones.pin(ctx); err != nil && ctx.Err() == nil {
			i.log.Warn("cannot update the CAA records", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
