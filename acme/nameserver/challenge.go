package nameserver

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// challengeTTL is short: a value is useless when its challenge is over, and
	// resolvers must see the next one at the same name at once.
	challengeTTL = 5 // seconds

	// The most names and values at once. *.example and example share a name, and orders
	// may be repeated. 16 usual values have 1.1 kB.
	maxChallenges = 1024 // names
	maxValues     = 16   // of one name

	// challengeLife is how long a value stays without CleanUp. An order takes minutes.
	challengeLife = 24 * time.Hour
)

// ErrNotServed means that a name is in none of the zones.
var ErrNotServed = errors.New("not in a zone of this name server")

var errFull = fmt.Errorf("%d names already have a challenge: check what repeats orders", maxChallenges)

// Present adds value to the TXT records of name, at once. A second call with the same
// value changes nothing. The error is ErrNotServed, or names the bound that is reached.
func (s *Server) Present(name, value string) error {
	host, err := parseName(name)
	if err == nil {
		err = checkText(value)
	}
	if err != nil {
		return fmt.Errorf("nameserver: challenge: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view.Load().zoneOf(string(host), false) == nil {
		return fmt.Errorf("nameserver: challenge at %s: %w", name, ErrNotServed)
	}
	if err := s.challenges.add(host, value, time.Now()); err != nil {
		return fmt.Errorf("nameserver: challenge at %s: %w", name, err)
	}
	s.publishLocked()
	return nil
}

// CleanUp removes value from the TXT records of name, if it is there.
func (s *Server) CleanUp(name, value string) error {
	host, err := parseName(name)
	if err != nil {
		return fmt.Errorf("nameserver: challenge: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.challenges.remove(host, value) {
		s.publishLocked()
	}
	return nil
}

// challenges are the values of names.
type challenges map[fqdn][]text

type text struct {
	value string
	since time.Time
}

func (c challenges) add(name fqdn, value string, now time.Time) error {
	c.expire(now)
	texts, ok := c[name]
	switch at := slices.IndexFunc(texts, func(t text) bool { return t.value == value }); {
	case at >= 0:
		texts[at].since = now
		return nil
	case !ok && len(c) >= maxChallenges:
		return errFull
	case len(texts) >= maxValues:
		return fmt.Errorf("the name already has %d values: check what repeats its order", maxValues)
	}
	c[name] = append(texts, text{value, now})
	return nil
}

func (c challenges) remove(name fqdn, value string) bool {
	before := len(c[name])
	c.keep(name, func(t text) bool { return t.value != value })
	return len(c[name]) < before
}

func (c challenges) expire(now time.Time) {
	for name := range c {
		c.keep(name, func(t text) bool { return now.Sub(t.since) < challengeLife })
	}
}

// keep drops the values of name for which wanted is false.
func (c challenges) keep(name fqdn, wanted func(text) bool) {
	c[name] = slices.DeleteFunc(c[name], func(t text) bool { return !wanted(t) })
	if len(c[name]) == 0 {
		delete(c, name)
	}
}

// values returns the values of name.
func (c challenges) values(name fqdn) []string {
	var values []string
	for _, t := range c[name] {
		values = append(values, t.value)
	}
	return values
}
