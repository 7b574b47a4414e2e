package nameserver

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	// challengeTTL is short: a value is of no use when its challenge is over, and
	// the next one at the same name has to be seen at once.
	challengeTTL = 5 // seconds

	// What is kept at once. *.example and example share a name, orders may be
	// repeated; 16 values are 1.1 kB of an authority's usual ones.
	maxChallenges = 1024 // names
	maxValues     = 16   // of one name

	// challengeLife is when a value that nobody cleaned up is forgotten. An order
	// is tried for minutes.
	challengeLife = 24 * time.Hour
)

// ErrNotServed means that a name is in none of the zones.
var ErrNotServed = errors.New("in no zone of this name server")

var errFull = fmt.Errorf("%d names have a challenge already: is something repeating orders?", maxChallenges)

// Present adds value to the TXT records of name, from this moment on. Doing so twice
// is once. The error is ErrNotServed, or tells which bound is in the way.
func (s *Server) Present(name, value string) error {
	wire, err := parseName(name)
	if err == nil {
		err = checkText(value)
	}
	if err != nil {
		return fmt.Errorf("nameserver: challenge: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view.Load().zoneOf([]byte(wire), false) == nil {
		return fmt.Errorf("nameserver: challenge at %s: %w", name, ErrNotServed)
	}
	if err := s.challenges.add(wire, value, time.Now()); err != nil {
		return fmt.Errorf("nameserver: challenge at %s: %w", name, err)
	}
	return s.publishLocked()
}

// CleanUp removes value from the TXT records of name, if it is there.
func (s *Server) CleanUp(name, value string) error {
	wire, err := parseName(name)
	if err != nil {
		return fmt.Errorf("nameserver: challenge: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.challenges.remove(wire, value) {
		return nil
	}
	return s.publishLocked()
}

// challenges are the values of names.
type challenges map[wireName][]text

type text struct {
	value string
	since time.Time
}

func (c challenges) add(name wireName, value string, now time.Time) error {
	c.expire(now)
	texts, ok := c[name]
	switch at := slices.IndexFunc(texts, func(t text) bool { return t.value == value }); {
	case at >= 0:
		texts[at].since = now
		return nil
	case !ok && len(c) >= maxChallenges:
		return errFull
	case len(texts) >= maxValues:
		return fmt.Errorf("it has %d values already: is something repeating its order?", maxValues)
	}
	c[name] = append(texts, text{value, now})
	return nil
}

func (c challenges) remove(name wireName, value string) bool {
	before := len(c[name])
	c.keep(name, func(t text) bool { return t.value != value })
	return len(c[name]) < before
}

func (c challenges) expire(now time.Time) {
	for name := range c {
		c.keep(name, func(t text) bool { return now.Sub(t.since) < challengeLife })
	}
}

// keep leaves only those values of name that wanted wants.
func (c challenges) keep(name wireName, wanted func(text) bool) {
	c[name] = slices.DeleteFunc(c[name], func(t text) bool { return !wanted(t) })
	if len(c[name]) == 0 {
		delete(c, name)
	}
}

// values are the values of name.
func (c challenges) values(name wireName) []string {
	var values []string
	for _, t := range c[name] {
		values = append(values, t.value)
	}
	return values
}
