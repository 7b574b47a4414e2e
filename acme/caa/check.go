package caa

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Request is an order that is about to be made.
type Request struct {
	Name       string   // a domain, without "*."
	Wildcard   bool     // the order is for "*." + Name
	Identities []string // of the authority: see the func Identities
	AccountURI string   // of the account that orders
	Method     string   // "dns-01" or "tls-alpn-01"
}

// Why an order would be refused. Every error of Check is one of them, with details.
var (
	// ErrRefused: the records do not permit the order. Their owner must change them.
	ErrRefused = errors.New("CAA records refuse the certificate")
	// ErrTemporary: the records are not known, since DNS does not answer. An authority refuses
	// then, too; trying again may do.
	ErrTemporary = errors.New("CAA records cannot be looked up now")
	// ErrUnidentified: there are records that bind the order, and the authority has
	// published no name that could stand in them. Private ones often look at none.
	ErrUnidentified = errors.New("the authority publishes no name for CAA records, so its decision cannot be predicted")
)

// Check reports whether the CAA records permit q, and if not which of them refuses, at
// which name, and what to change. It asks r for each name upwards from q.Name, until
// one has records.
func Check(ctx context.Context, r Resolver, q Request) error {
	name, ok := domainName(q.Name)
	if !ok {
		return fmt.Errorf("%w: %.80q is not a domain name", ErrRefused, q.Name)
	}
	f, err := relevant(ctx, r, name)
	if err != nil {
		return err
	}
	place := f.at
	if f.end != f.at {
		place += ", an alias of " + f.end
	}
	if r := unknown(f.set); r != nil {
		return fmt.Errorf("%w: at %s: %s has the critical flag and a tag that authorities do not know: remove it", ErrRefused, place, show(r))
	}
	refused := refusals(f.set, q)
	why := strings.Join(refused[:min(len(refused), maxRefusals)], "; ")
	switch {
	case len(refused) == 0:
		return nil
	case len(q.Identities) == 0:
		return fmt.Errorf("%w: at %s: %s", ErrUnidentified, place, why)
	}
	return fmt.Errorf("%w: at %s: %s; %s", ErrRefused, place, why, advice(f, name, q))
}

// domainName is s in its canonical form; it reports false for a wildcard, the root and
// for a text that is not a name.
func domainName(s string) (string, bool) {
	name := dns.CanonicalName(s)
	_, ok := dns.IsDomainName(name)
	return name, ok && !strings.HasPrefix(name, "*") && name != "."
}

// maxRefusals bounds the records that an error repeats.
const maxRefusals = 4

// advice is the record that would permit q. Records at the name itself go before
// those above it.
func advice(f found, name string, q Request) string {
	tag := tagIssue
	if q.Wildcard {
		tag = tagIssueWild
	}
	i := issuer{name: strings.ToLower(q.Identities[0]), parameters: []parameter{{"validationmethods", q.Method}}}
	if q.AccountURI != "" {
		i.parameters = append(i.parameters, parameter{"accounturi", q.AccountURI})
	}
	there := Record{Name: f.end, Tag: tag, Value: i.String()}
	if f.at == name {
		return "to permit it, add: " + there.String()
	}
	nearer := there
	nearer.Name = name
	return fmt.Sprintf("to permit it, add: %s; or, since the nearest name decides: %s", there, nearer)
}
