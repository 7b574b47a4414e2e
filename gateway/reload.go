package gateway

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"sallyport/config"
	"sallyport/gateway/issue"
	"sallyport/internal/oneline"
)

// Reload reads the certificates and the KMS's root again. What cannot be used is logged, and
// the previous one stays in use.
func (g *Gateway) Reload() {
	changed, err := g.certs.Reload()
	if err != nil {
		g.log.Error("some certificates could not be reloaded; the previous ones stay in use", "error", err)
	}
	if g.guests != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // a guest agent may be asked
		defer cancel()
		if renewed, err := g.guests.Reload(ctx); err != nil {
			g.log.Error("cannot reload the [rpc] certificate; the previous one stays in use", "error", err)
		} else if renewed {
			changed++
		}
	}
	if err := g.appraise.ReloadRoots(); err != nil {
		g.log.Error("cannot reload the KMS's root; the previous one stays in use", "error", err)
	}
	g.log.Info("certificates read", "changed", changed)
}

// ReloadConfig takes over what of the configuration file may change while the gateway runs:
// the domains, except those with ratls; [proxy] upstream_ratls and proxy_tlvs; and the
// policy of [attestation]. A file with a problem is logged and changes nothing.
func (g *Gateway) ReloadConfig(file string) {
	cfg, err := config.Load(file)
	if err == nil {
		err = g.checkUpstreams(cfg)
	}
	if err == nil {
		err = g.setDomains(cfg)
	}
	if err == nil {
		err = g.routes.SetUpstreams(cfg.Proxy.UpstreamRATLS)
	}
	if err != nil {
		g.log.Error("cannot use the new configuration; the previous one stays in force", "error", err)
		return
	}
	g.routes.SetProxyTLVs(cfg.Proxy.ProxyTLVs)
	g.appraise.Reload(cfg.Attestation)
	if sections := needRestart(*g.cfg, *cfg); len(sections) > 0 {
		g.log.Warn("sections have changed, which takes effect after a restart; until then the previous values stay in force", "sections", strings.Join(sections, " "))
	}
	g.log.Info("configuration read", "file", file, "domains", len(cfg.Domains), "upstream_ratls", len(cfg.Proxy.UpstreamRATLS.IDs), "upstream_ratls_all", cfg.Proxy.UpstreamRATLS.All)
}

// needRestart names the sections of which a change is not taken over.
func needRestart(was, now config.Config) (sections []string) {
	was.Proxy.UpstreamRATLS, was.Proxy.ProxyTLVs = now.Proxy.UpstreamRATLS, now.Proxy.ProxyTLVs
	was.Domains, was.Attestation = now.Domains, now.Attestation // setDomains and package appraise say it themselves
	before, after := reflect.ValueOf(was), reflect.ValueOf(now)
	for i := range before.NumField() {
		if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			sections = append(sections, "["+before.Type().Field(i).Tag.Get("toml")+"]")
		}
	}
	return sections
}

// What a restart is for.
var (
	errFirstACME = errors.New("[[domain]] acme: the first domain with acme = true needs a restart")
	errRATLS     = errors.New("[[domain]] ratls: adding or removing a domain with ratls = true needs a restart")
)

// setDomains takes over the domains of another configuration. An error changes
// nothing.
//
// The order is such that no client finds half a domain: a new one is prepared before it is
// routed, and a removed one is no longer routed before its certificate goes.
func (g *Gateway) setDomains(cfg *config.Config) error {
	old, now := g.routes.Domains(), cfg.Domains
	isRATLS := func(d config.Domain) bool { return d.RATLS }
	switch {
	case slices.Equal(old, now):
		return nil
	case g.issuer == nil && issue.HasACME(now):
		return errFirstACME
	case !slices.Equal(only(old, isRATLS), only(now, isRATLS)):
		return errRATLS
	}
	// The certificate of a removed domain stays until no client is routed to the domain.
	both := slices.Clone(now)
	for _, d := range old {
		if !slices.ContainsFunc(now, func(n config.Domain) bool { return n.Name == d.Name }) {
			both = append(both, d)
		}
	}
	if err := g.certs.SetSources(issue.Sources(both)); err != nil {
		return err
	}
	if g.issuer != nil {
		if err := g.issuer.SetDomains(now); err != nil {
			return oneline.Join(err, g.certs.SetSources(issue.Sources(old)))
		}
	}
	g.routes.SetDomains(now)
	if now[0].Name != old[0].Name {
		g.log.Warn("guests get the first domain of the start until the gateway is restarted", "now", now[0].Name)
	}
	return g.certs.SetSources(issue.Sources(now))
}

func only(list []config.Domain, is func(config.Domain) bool) (some []config.Domain) {
	for _, d := range list {
		if is(d) {
			some = append(some, d)
		}
	}
	return some
}
