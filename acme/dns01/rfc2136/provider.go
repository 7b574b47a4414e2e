package rfc2136

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// Options configure a Provider. All but Algorithm and Timeout are required.
type Options struct {
	Server     string // the primary server, host or host:port
	KeyName    string // of the TSIG key, as the server knows it
	SecretFile string // holds the key in base64 and nothing else; closed to others
	Algorithm  string // "hmac-sha256" or "hmac-sha512"; "" is hmac-sha256

	// Timeout is for one change; 0 is 10 seconds.
	Timeout time.Duration
}

// Provider changes records at one server. Its methods may be called concurrently.
type Provider struct {
	server  string
	key     key
	timeout time.Duration
}

var (
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
)

// New makes a Provider. It reads the key, and sends no request.
func New(o Options) (*Provider, error) {
	server := o.Server
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "53")
	}
	if o.Server == "" || o.KeyName == "" || o.SecretFile == "" {
		return nil, errors.New("rfc2136: want a server, a key name and a secret file")
	}
	k, err := readKey(o.KeyName, cmp.Or(o.Algorithm, "hmac-sha256"), o.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("rfc2136: %w", err)
	}
	return &Provider{server: server, key: k, timeout: cmp.Or(o.Timeout, 10*time.Second)}, nil
}

// String keeps the secret out of logs.
func (p *Provider) String() string { return "rfc2136 at " + p.server + " with key " + p.key.name }

// GoString keeps it out of %#v.
func (p *Provider) GoString() string { return p.String() }

// AppendRecords adds TXT and CAA records. One that is there already stays, with the
// new TTL.
func (p *Provider) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	list, err := toWire(zone, records)
	if err != nil {
		return nil, fmt.Errorf("rfc2136: %w", err)
	}
	m := new(dns.Msg).SetUpdate(dns.CanonicalName(zone))
	for _, r := range list {
		m.RRsetNotUsed([]dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: r.Header().Name, Rrtype: dns.TypeCNAME}}})
	}
	m.Insert(list)
	if _, err := p.exchange(ctx, m); err != nil {
		return nil, fmt.Errorf("rfc2136: update of zone %s: %w", zone, err)
	}
	return records, nil
}

// DeleteRecords removes TXT and CAA records by their value, whatever their TTL. It
// cannot know which were there, and returns them all.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	list, err := toWire(zone, records)
	if err != nil {
		return nil, fmt.Errorf("rfc2136: %w", err)
	}
	m := new(dns.Msg).SetUpdate(dns.CanonicalName(zone))
	m.Remove(list)
	if _, err := p.exchange(ctx, m); err != nil {
		return nil, fmt.Errorf("rfc2136: update of zone %s: %w", zone, err)
	}
	return records, nil
}

// CAARecords reads the CAA records at name, relative to zone, from the server
// itself.
func (p *Provider) CAARecords(ctx context.Context, zone, name string) ([]libdns.CAA, error) {
	fqdn := dns.CanonicalName(libdns.AbsoluteName(name, zone))
	answer, err := p.exchange(ctx, new(dns.Msg).SetQuestion(fqdn, dns.TypeCAA))
	if err != nil && (answer == nil || answer.Rcode != dns.RcodeNameError) {
		return nil, fmt.Errorf("rfc2136: CAA records of %s: %w", fqdn, err)
	}
	var list []libdns.CAA
	for _, rr := range answer.Answer {
		if r, ok := rr.(*dns.CAA); ok && dns.CanonicalName(r.Hdr.Name) == fqdn {
			ttl := time.Duration(r.Hdr.Ttl) * time.Second
			list = append(list, libdns.CAA{Name: name, TTL: ttl, Flags: r.Flag, Tag: r.Tag, Value: r.Value})
		}
	}
	return list, nil
}
