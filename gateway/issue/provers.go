package issue

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"sallyport/acme"
	"sallyport/acme/dns01"
	"sallyport/acme/dns01/cloudflare"
	"sallyport/acme/dns01/exec"
	"sallyport/acme/dns01/rfc2136"
	"sallyport/acme/nameserver"
	"sallyport/config"
	"sallyport/internal/certfile"
	"sallyport/internal/dnsquery"
	"sallyport/internal/listenat"
	"sallyport/internal/oneline"
	"sallyport/internal/secretfile"
)

// The section [acme] becomes the parts that prove control of domains, and the authorities
// that are asked. Files are read; no socket is opened, and no server is asked, so that
// `gateway check` may do the same.

// provers are the parts that prove control of domains. Exactly one of provider, server and
// challenges is set.
type provers struct {
	resolver   dnsquery.Resolver
	provider   dns01.Provider       // changes the records of others' zones
	server     *nameserver.Server   // answers itself
	challenges *acme.ALPNChallenges // on the port for clients, for domains without wildcard
}

func newProvers(cfg *config.Config, maxConnections int, log *slog.Logger) (p provers, err error) {
	if p.resolver, err = resolverOf(cfg.ACME); err != nil {
		return p, err
	}
	c := cfg.ACME
	switch c.DNS {
	case config.DNSEmbedded:
		p.server, err = newNameserver(cfg, maxConnections, log)
	case config.DNSRFC2136:
		r := c.RFC2136
		p.provider, err = rfc2136.New(rfc2136.Options{Server: r.Server, KeyName: r.KeyName, SecretFile: r.SecretFile, Algorithm: r.Algorithm})
	case config.DNSCloudflare:
		p.provider, err = newCloudflare(c.Cloudflare)
	case config.DNSExec:
		e := c.Exec
		p.provider, err = exec.New(exec.Options{Program: e.Program, Args: e.Args, Env: e.Env, Timeout: e.Timeout})
	default:
		p.challenges = &acme.ALPNChallenges{}
	}
	if err != nil {
		return provers{}, fmt.Errorf("[acme] dns = %q: %w", c.DNS, err)
	}
	return p, nil
}

// resolvConf names the system's resolvers.
const resolvConf = "/etc/resolv.conf"

func resolverOf(c config.ACME) (dnsquery.Resolver, error) {
	if len(c.Resolvers) > 0 {
		return dnsquery.Resolver{Servers: c.Resolvers}, nil
	}
	r, err := dnsquery.System(resolvConf)
	if err != nil {
		return r, fmt.Errorf("[acme] resolvers: %w", err)
	}
	return r, nil
}

func newNameserver(cfg *config.Config, maxConnections int, log *slog.Logger) (*nameserver.Server, error) {
	c := cfg.ACME.Embedded
	return nameserver.New(nameserver.Options{Listen: listenat.Resolve(c.Listen), Zones: zones(c, cfg.Domains, nil), MaxConnections: maxConnections, Log: log})
}

func newCloudflare(c config.Cloudflare) (dns01.Provider, error) {
	token, err := readSecret(c.TokenFile)
	if err != nil {
		return nil, err
	}
	return cloudflare.New(cloudflare.Options{Token: token, BaseURL: text(c.BaseURL)})
}

// solve sets the solver of o.
func (p provers) solve(o *acme.Options, c config.ACME) error {
	if p.challenges != nil {
		o.TLSALPN01 = p.challenges
		return nil
	}
	with := dns01.Options{Provider: p.provider, Resolvers: p.resolver.Servers, Nameservers: c.Nameservers, Timeout: c.PropagationTimeout}
	if p.server != nil {
		with.Provider = p.server
	}
	s, err := dns01.New(with)
	if err != nil {
		return fmt.Errorf("[acme] dns = %q: %w", c.DNS, err)
	}
	o.DNS01 = s
	if p.server != nil {
		o.DNS01 = immediate{s}
	}
	return nil
}

// immediate solves by the answers of the name server in this process. They are visible from
// Present on, so there is nothing to wait for; and the server's public address, where dns01
// would look, is often not reachable from behind the same NAT.
type immediate struct{ *dns01.Solver }

// Wait hides the method of dns01.Solver: with that one this would be an acmez.Waiter.
func (immediate) Wait() {}

// authorities returns those that [acme] names.
func authorities(c config.ACME) (first, second acme.Authority, err error) {
	first, err1 := authority(c.Authority)
	second, err2 := authority(c.Fallback)
	if err1 != nil {
		err1 = fmt.Errorf("[acme] %w", err1)
	}
	if err2 != nil {
		err2 = fmt.Errorf("[acme.fallback] %w", err2)
	}
	return first, second, oneline.Join(err1, err2)
}

func authority(c config.Authority) (a acme.Authority, err error) {
	a = acme.Authority{Directory: text(c.Directory), Staging: text(c.Staging), Profile: c.Profile}
	if c.Roots != "" {
		if a.Roots, err = certfile.ReadRoots(c.Roots); err != nil {
			return a, fmt.Errorf("roots: %w", err)
		}
	}
	if c.EABKeyFile != "" {
		a.EAB.KeyID = c.EABKeyID
		if a.EAB.MACKey, err = readSecret(c.EABKeyFile); err != nil {
			return a, fmt.Errorf("eab_key_file: %w", err)
		}
		a.EAB.MACKey = strings.TrimRight(a.EAB.MACKey, "=") // RFC 4648, 5; acme wants none
	}
	return a, nil
}

// text returns u as it was written, "" for nil.
func text(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.String()
}

// readSecret reads a file that holds one word, the secret.
func readSecret(file string) (string, error) {
	secret, err := secretfile.Read(file)
	if err != nil {
		return "", err
	}
	if secret == "" || strings.ContainsAny(secret, " \t\r\n\x00") {
		return "", fmt.Errorf("%s: want one word, the secret", file)
	}
	return secret, nil
}
