package main

import (
	"context"
	"crypto/tls"
	"fmt"

	"sallyport/acme"
	"sallyport/admin"
	"sallyport/gateway/issue"
	"sallyport/internal/oneline"
	"sallyport/wg"
)

// The issuer as a part of the gateway, and what operators see of it.

// openIssuer opens what gets certificates of an authority.
func (g *gateway) openIssuer(ctx context.Context) error {
	set := func(domain string, apex bool, cert *tls.Certificate) error {
		if apex {
			return g.certs.SetApex(domain, cert)
		}
		return g.certs.Set(domain, cert)
	}
	budget, err := divide(g.cfg, wg.Mode(g.cfg.WireGuard.Mode)) // the share is the same in all modes
	if err != nil {
		return err
	}
	g.issuer, err = issue.Open(ctx, issue.Options{Config: g.cfg, Store: g.store, Served: set, MaxDNSConnections: budget.DNS, Log: g.log})
	return err
}

// certified is nil while the certificates can be served; else it says why not, with
// what the authority says.
func (g *gateway) certified() error {
	err := g.certs.Ready()
	if err == nil || g.issuer == nil {
		return err
	}
	for _, s := range g.issuer.Status() {
		if s.LastError != "" && s.NotAfter.IsZero() {
			err = oneline.Join(err, fmt.Errorf("%s: %s; next try %s", s.Name, s.LastError, s.NextTry.UTC().Format("15:04:05 MST")))
		}
	}
	return err
}

// certificates are what is served, and what the issuer is up to.
func (g *gateway) certificates() []admin.Certificate {
	issued := map[string]acme.Status{}
	if g.issuer != nil {
		for _, s := range g.issuer.Status() {
			issued[s.Name] = s
		}
	}
	var all []admin.Certificate
	for _, c := range g.certs.Status() {
		row := admin.Certificate{Domain: c.Domain, Name: "*." + c.Domain, NotAfter: c.NotAfter, Serial: c.Serial, Issuer: c.Issuer}
		if c.Apex {
			row.Name = c.Domain
		}
		if s, ok := issued[row.Name]; ok {
			row.NextTry, row.LastError, row.FailedAt, row.Failures = s.NextTry, s.LastError, s.FailedAt, s.Failures
		}
		all = append(all, row)
	}
	return all
}
