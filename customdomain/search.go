package customdomain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The names to ask for www.customer.org, in the order in which they count:
//
//	_dstack-app-address.www.customer.org
//	_tapp-address.www.customer.org             of old guests; asked at the same time
//	_dstack-app-address-wildcard.customer.org  one label less, once
//
// Only the absence of a record leads to the next name. One that cannot be read, or
// a resolver that fails, ends the search: else an attacker that can disturb it could choose
// which record counts.

const (
	legacyPrefix   = "_tapp-address"
	wildcardSuffix = "-wildcard"
)

// answer is the result of asking for a name.
type answer struct {
	target Target
	ttl    time.Duration
	err    error // nil, ErrNotFound, ErrBroken or ErrTemporary
}

func (a answer) absent() bool { return errors.Is(a.err, ErrNotFound) }

// search asks for host, which isHost has judged.
func (r *Resolver) search(ctx context.Context, host string) answer {
	if a := r.own(ctx, host); !a.absent() {
		return a
	}
	_, parent, _ := strings.Cut(host, ".")
	if a := r.ask(ctx, r.prefix+wildcardSuffix, parent); !a.absent() {
		return a
	}
	return answer{err: fmt.Errorf("%w of %s", ErrNotFound, show(host))}
}

// own asks for the records of host itself.
func (r *Resolver) own(ctx context.Context, host string) answer {
	if !r.legacy {
		return r.ask(ctx, r.prefix, host)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	old := make(chan answer, 1)
	go func() {
		old <- r.recovered(func() answer { return r.ask(ctx, legacyPrefix, host) })
	}()
	a := r.ask(ctx, r.prefix, host)
	if !a.absent() {
		cancel()
		<-old // does not outlive us
		return a
	}
	return <-old
}

// ask asks for the record at one name.
func (r *Resolver) ask(ctx context.Context, prefix, host string) answer {
	name := prefix + "." + host
	if len(name) > maxName {
		return answer{err: ErrNotFound} // too long to be anywhere
	}
	texts, ttl, err := r.query(ctx, name+".")
	if err != nil {
		return answer{err: err}
	}
	t, err := choose(texts)
	return answer{target: t, ttl: ttl, err: err}
}
