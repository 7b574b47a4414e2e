package caa

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/dnsquery"

	"github.com/miekg/dns"
)

// Resolver asks recursive resolvers: dnsquery.Resolver. What its answer does not say
// must be an error: no failure may look like absence.
type Resolver interface {
	Lookup(ctx context.Context, name string, qtype uint16) (*dns.Msg, error)
}

// maxAliases bounds the CNAMEs that are followed for one name, as resolvers do. (Of a
// DNAME they make one.)
const maxAliases = 8

// found are the records that count.
type found struct {
	at  string // the name that they count for
	end string // where they are: at, or the end of its aliases
	set []*dns.CAA
}

// relevant are the records of the nearest name upwards from name that has any (RFC
// 8659, 3). Aliases are followed at each name, but nothing is climbed from where they
// lead to.
func relevant(ctx context.Context, r Resolver, name string) (found, error) {
	for at := name; at != "" && at != "."; _, at, _ = strings.Cut(at, ".") {
		f, err := records(ctx, r, at)
		if err != nil {
			return found{}, fmt.Errorf("%w: %w", ErrTemporary, err)
		}
		if len(f.set) > 0 {
			return f, nil
		}
	}
	return found{}, nil
}

// records are the CAA records of name, or of the name that it is an alias of. A
// resolver gives the whole chain in its answer; where it stops, it is asked on.
func records(ctx context.Context, r Resolver, name string) (found, error) {
	chain := []string{name}
	for {
		m, err := r.Lookup(ctx, name, dns.TypeCAA)
		if err != nil {
			return found{}, err
		}
		asked := name
		for {
			if set := dnsquery.Records[*dns.CAA](m, name); len(set) > 0 {
				return found{at: chain[0], end: name, set: set}, nil
			}
			next := dnsquery.Alias(m, name)
			if next == "" {
				break
			}
			if slices.Contains(chain, next) || len(chain) > maxAliases {
				return found{}, fmt.Errorf("the aliases (CNAME) of %s run in a loop or are more than %d", chain[0], maxAliases)
			}
			chain = append(chain, next)
			name = next
		}
		if name == asked {
			return found{}, nil
		}
	}
}
