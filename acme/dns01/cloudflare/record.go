package cloudflare

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// record is a record of the API.
type record struct {
	ID      string   `json:"id,omitempty"`
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Content string   `json:"content,omitempty"`
	Data    *caaData `json:"data,omitempty"` // of a CAA record
	TTL     int      `json:"ttl"`
}

type caaData struct {
	Flags uint8  `json:"flags"`
	Tag   string `json:"tag"`
	Value string `json:"value"`
}

// minTTL is the least that the API takes outside of its enterprise plan, in seconds.
const minTTL = 60

// toRecord converts a record of a zone. Only those types are known that proving
// control and pinning a CA need.
func toRecord(zone string, in libdns.Record) (record, error) {
	rr := in.RR()
	r := record{Type: rr.Type, Name: hostName(rr.Name, zone), TTL: max(minTTL, int(rr.TTL/time.Second))}
	if _, ok := dns.IsDomainName(r.Name); !ok || !dns.IsSubDomain(zone, r.Name+".") {
		return r, fmt.Errorf("%.80q is not a name in zone %s", r.Name, zone)
	}
	switch in := in.(type) {
	case libdns.TXT:
		// Longer ones would be several strings, and would come back as such.
		if in.Text == "" || len(in.Text) > 255 || strings.ContainsAny(in.Text, `"\`) {
			return r, fmt.Errorf("TXT record at %s: want 1 to 255 bytes without quotes and backslashes", r.Name)
		}
		r.Content = `"` + in.Text + `"` // the API warns of others since 2024
	case libdns.CAA:
		if in.Tag == "" || in.Value == "" {
			return r, fmt.Errorf("CAA record at %s: want a tag and a value", r.Name)
		}
		r.Data = &caaData{Flags: in.Flags, Tag: in.Tag, Value: in.Value}
	default:
		return r, fmt.Errorf("%s record at %s: is of a type that is not supported", r.Type, r.Name)
	}
	return r, nil
}

// equal reports whether both say the same. The API shows texts as they were given, in
// quotes or not.
func (r record) equal(want record) bool {
	if r.Type != want.Type || !strings.EqualFold(r.Name, want.Name) || (r.Data == nil) != (want.Data == nil) {
		return false
	}
	if r.Data != nil {
		return r.Data.Flags == want.Data.Flags && strings.EqualFold(r.Data.Tag, want.Data.Tag) && r.Data.Value == want.Data.Value
	}
	return strings.Trim(r.Content, `"`) == strings.Trim(want.Content, `"`)
}

// permission is needed to change and list records.
const permission = "Zone / DNS / Edit"

// list are the records at name of one type.
func (p *Provider) list(ctx context.Context, z zoneInfo, kind, name string) ([]record, error) {
	list, err := pages[record](ctx, p, recordsPath(z), url.Values{"type": {kind}, "name": {name}})
	return list, needing(err, permission+" on zone "+z.Name)
}

// create adds r. If the API says that it is there, it is looked for: some of its
// codes mean another record.
func (p *Provider) create(ctx context.Context, z zoneInfo, r record) error {
	_, err := p.call(ctx, http.MethodPost, recordsPath(z), r, nil)
	var f *failure
	if !errors.As(err, &f) || !f.exists() {
		return needing(err, permission+" on zone "+z.Name)
	}
	there, e := p.list(ctx, z, r.Type, r.Name)
	if e != nil {
		return e
	}
	for _, old := range there {
		if old.equal(r) {
			return nil
		}
	}
	return err
}

// remove deletes a record; one that is gone is fine.
func (p *Provider) remove(ctx context.Context, z zoneInfo, id string) error {
	_, err := p.call(ctx, http.MethodDelete, recordsPath(z)+"/"+url.PathEscape(id), nil, nil)
	var f *failure
	if errors.As(err, &f) && f.status == http.StatusNotFound {
		return nil
	}
	return needing(err, permission+" on zone "+z.Name)
}

func recordsPath(z zoneInfo) string { return "/zones/" + url.PathEscape(z.ID) + "/dns_records" }
