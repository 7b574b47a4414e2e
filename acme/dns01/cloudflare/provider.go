package cloudflare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// Options configure a Provider. Only Token is required.
type Options struct {
	Token   string // an API token, not a global key
	BaseURL string // "" is https://api.cloudflare.com/client/v4

	// Timeout is for one request; 0 is 15 seconds.
	Timeout time.Duration
}

// Provider changes records of the token's zones. Its methods may be called
// concurrently.
type Provider struct {
	base   string
	token  string
	client *http.Client
}

var (
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
)

// New makes a Provider. It sends no request.
func New(o Options) (*Provider, error) {
	if strings.Trim(o.Token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" || o.Token == "" {
		return nil, errors.New("cloudflare: want an API token, of letters, digits, '_' and '-'")
	}
	base := strings.TrimSuffix(cmp.Or(o.BaseURL, "https://api.cloudflare.com/client/v4"), "/")
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("cloudflare: base URL %.80q: want https://host/path", base)
	}
	return &Provider{base: base, token: o.Token, client: &http.Client{
		Timeout: cmp.Or(o.Timeout, 15*time.Second),
		// A few requests a month are not worth connections that stay open.
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// String keeps the token out of logs.
func (p *Provider) String() string { return "cloudflare at " + p.base }

// GoString keeps it out of %#v.
func (p *Provider) GoString() string { return p.String() }

// AppendRecords adds TXT and CAA records. One that is there already stays as it is.
func (p *Provider) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	for _, r := range records {
		want, z, err := p.find(ctx, zone, r)
		if err != nil {
			return nil, err
		}
		if err := p.create(ctx, z, want); err != nil {
			return nil, fmt.Errorf("cloudflare: add %s record at %s: %w", want.Type, want.Name, err)
		}
	}
	return records, nil
}

// DeleteRecords removes TXT and CAA records by their value, whatever their TTL, and
// returns those that were there.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	var deleted []libdns.Record
	for _, r := range records {
		want, z, err := p.find(ctx, zone, r)
		if err != nil {
			return deleted, err
		}
		there, err := p.list(ctx, z, want.Type, want.Name)
		if err != nil {
			return deleted, fmt.Errorf("cloudflare: look for %s records at %s: %w", want.Type, want.Name, err)
		}
		for _, old := range there {
			if !old.equal(want) {
				continue
			}
			if err := p.remove(ctx, z, old.ID); err != nil {
				return deleted, fmt.Errorf("cloudflare: remove %s record at %s: %w", want.Type, want.Name, err)
			}
			deleted = append(deleted, r)
		}
	}
	return deleted, nil
}

// CAARecords reads the CAA records at name, relative to zone.
func (p *Provider) CAARecords(ctx context.Context, zone, name string) ([]libdns.CAA, error) {
	fqdn := hostName(name, zone)
	z, err := p.zoneOf(ctx, fqdn)
	if err != nil {
		return nil, err
	}
	there, err := p.list(ctx, z, "CAA", fqdn)
	if err != nil {
		return nil, fmt.Errorf("cloudflare: look for CAA records at %s: %w", fqdn, err)
	}
	var list []libdns.CAA
	for _, r := range there {
		if r.Data != nil {
			list = append(list, libdns.CAA{Name: name, TTL: time.Duration(r.TTL) * time.Second, Flags: r.Data.Flags, Tag: r.Data.Tag, Value: r.Data.Value})
		}
	}
	return list, nil
}

// find converts a record and finds the zone that it belongs to.
func (p *Provider) find(ctx context.Context, zone string, r libdns.Record) (record, zoneInfo, error) {
	want, err := toRecord(zone, r)
	if err != nil {
		return want, zoneInfo{}, fmt.Errorf("cloudflare: %w", err)
	}
	z, err := p.zoneOf(ctx, want.Name)
	return want, z, err
}

// hostName is a name as the API writes it: in lower case, without a dot at its end.
func hostName(name, zone string) string {
	return strings.TrimSuffix(dns.CanonicalName(libdns.AbsoluteName(name, zone)), ".")
}
