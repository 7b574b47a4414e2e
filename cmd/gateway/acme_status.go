package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"

	"sallyport/acme"
	"sallyport/admin"
	"sallyport/config"
)

// The issuer as a part of the gateway, and what operators see of it.

// openIssuer makes what gets certificates, opens its name server and has the stored
// certificates served. Nothing is ordered before serve.
func (g *gateway) openIssuer(ctx context.Context) (err error) {
	set := func(domain string, apex bool, cert *tls.Certificate) error {
		if apex {
			return g.certs.SetApex(domain, cert)
		}
		return g.certs.Set(domain, cert)
	}
	var attest attestFunc
	if hasACME(g.cfg.Domains) {
		if attest, err = newACMEAttest(ctx, g.cfg, g.log); err != nil {
			return err
		}
	}
	if g.issuer, err = newIssuer(g.cfg, acmeStore{g.store}, set, attest, g.log); err != nil || g.issuer == nil {
		return err
	}
	if err := g.issuer.listen(ctx); err != nil {
		return err
	}
	g.issuer.control = openControl(ctx, g.cfg.Store.Path, g.issuer, g.log)
	return g.issuer.load(ctx)
}

// checkIssuer is newIssuer for `gateway check`, which opens no store.
func checkIssuer(cfg *config.Config) error {
	_, err := newIssuer(cfg, acmeStore{}, servesNothing, nil, slog.New(slog.DiscardHandler))
	return err
}

// servesNothing is for commands that get no certificate to serve.
func servesNothing(string, bool, *tls.Certificate) error { return nil }

// certified is nil while the certificates can be served; else it says why not, with
// what the authority says.
func (g *gateway) certified() error {
	err := g.certs.Ready()
	if err == nil || g.issuer == nil {
		return err
	}
	for _, s := range g.issuer.manager.Status() {
		if s.LastError != "" && s.NotAfter.IsZero() {
			err = errors.Join(err, fmt.Errorf("%s: %s; next try %s", s.Name, s.LastError, s.NextTry.UTC().Format("15:04:05 MST")))
		}
	}
	return err
}

// certificates are what is served, and what the issuer is up to.
func (g *gateway) certificates() []admin.Certificate {
	issued := map[string]acme.Status{}
	if g.issuer != nil {
		for _, s := range g.issuer.manager.Status() {
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
