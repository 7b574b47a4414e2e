package caa

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Account is an account at an authority.
type Account struct {
	Directory  string   // of the authority
	URI        string   // "" before the first order
	Identities []string // those in the directory: see the func Identities
}

// Pins decides which records let some accounts alone get certificates, by one method of
// proof: an attacker that can answer for the domain in another way, or has an account of its own,
// gets none. It remembers the names by which authorities go in records, so that one which
// does not answer for a while does not open the domain to others. Its methods are called
// one at a time.
type Pins struct {
	method string
	names  map[string]string // of authorities, by directory, as the directories had them last
}

// NewPins makes Pins for a method of proof, such as "dns-01".
func NewPins(method string) *Pins { return &Pins{method: method, names: make(map[string]string)} }

// Records returns the records that permit the accounts for domain and its wildcards. An
// account without a URI is permitted by its authority's name and the method. Where none has
// a URI there is nothing to pin, and no records. An authority that publishes no name makes an
// error that wraps ErrUnidentified: records without it would refuse its certificates.
func (p *Pins) Records(domain string, accounts []Account) ([]Record, error) {
	var records []Record
	pinned := false
	for _, a := range accounts {
		if ids := Identities(a.Directory, a.Identities); len(ids) > 0 {
			p.names[a.Directory] = ids[0]
		}
		authority := p.names[a.Directory]
		if authority == "" {
			return nil, fmt.Errorf("%s: %w; ask its operator, and whether it looks at CAA records", a.Directory, ErrUnidentified)
		}
		list, err := p.permit(domain, authority, a.URI)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			if !slices.Contains(records, r) {
				records = append(records, r)
			}
		}
		pinned = pinned || a.URI != ""
	}
	if !pinned {
		return nil, nil
	}
	return records, nil
}

func (p *Pins) permit(domain, authority, accountURI string) ([]Record, error) {
	if accountURI != "" {
		return Records(domain, authority, accountURI, []string{p.method})
	}
	name, ok := domainName(domain)
	if !ok {
		return nil, fmt.Errorf("CAA records: %.80q is not a domain name", domain)
	}
	value := issuer{name: strings.ToLower(authority), parameters: []parameter{{"validationmethods", p.method}}}.String()
	return []Record{{Name: name, Tag: tagIssue, Value: value}, {Name: name, Tag: tagIssueWild, Value: value}}, nil
}

// Standing is how much the records that are there permit.
type Standing int

// The standings, from the widest to the narrowest.
const (
	OpenToAll      Standing = iota // every authority may issue
	OpenToAccounts                 // every account at one of the authorities may
	Pinned                         // the accounts alone may
)

// Standing asks r what the records that are there permit for name, or with wildcard for the
// names below it. An error says why they refuse one of the accounts, as that of Check.
func (p *Pins) Standing(ctx context.Context, r Resolver, name string, wildcard bool, accounts []Account) (Standing, error) {
	ask := func(ids []string, account string) error {
		return Check(ctx, r, Request{Name: name, Wildcard: wildcard, Identities: ids, AccountURI: account, Method: p.method})
	}
	for _, a := range accounts {
		if err := ask(Identities(a.Directory, a.Identities), a.URI); err != nil {
			return 0, err
		}
	}
	const stranger = "nobody.invalid"
	if ask([]string{stranger}, "") == nil {
		return OpenToAll, nil
	}
	for _, a := range accounts {
		if ask(Identities(a.Directory, a.Identities), "https://"+stranger+"/") == nil {
			return OpenToAccounts, nil
		}
	}
	return Pinned, nil
}
