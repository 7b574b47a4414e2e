package vm

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// MaxPortRules is how many ports one policy may list. A compose file names a
// handful; the bound keeps 100,000 instances from costing gigabytes.
const MaxPortRules = 4096

// PolicyState is what is known about an instance's ports.
type PolicyState uint8

// The states. A policy that was never read is Unknown and allows nothing: what
// the app wanted to hide must not be reachable because a message was lost.
const (
	PolicyUnknown PolicyState = iota
	PolicyOpen
	PolicyRestricted
)

func (s PolicyState) String() string {
	return [...]string{"unknown", "open", "restricted"}[s]
}

// PortRule is one listed port. Proxy asks for a PROXY header on it.
type PortRule struct {
	Port  uint16
	Proxy bool
}

// PortPolicy says which ports of an instance clients may reach. The zero value
// is the unknown policy. It is immutable and comparable: equal rules in any order
// make equal policies.
type PortPolicy struct {
	state PolicyState
	rules string // sorted by port, ruleSize bytes each: port (big endian), 1 if Proxy
}

const ruleSize = 3

// OpenPolicy allows every port and sends no PROXY header: the policy of static
// instances and of apps that state none.
func OpenPolicy() PortPolicy { return PortPolicy{state: PolicyOpen} }

// NewPortPolicy makes a policy of the listed ports: restricted allows only them,
// otherwise they only say where a PROXY header is wanted. More than MaxPortRules,
// port 0, and one port with two different rules are errors.
func NewPortPolicy(restricted bool, rules []PortRule) (PortPolicy, error) {
	if len(rules) > MaxPortRules {
		return PortPolicy{}, fmt.Errorf("port policy lists %d ports, the limit is %d", len(rules), MaxPortRules)
	}
	sorted := slices.SortedFunc(slices.Values(rules), func(a, b PortRule) int { return cmp.Compare(a.Port, b.Port) })
	sorted = slices.Compact(sorted)
	text := make([]byte, 0, len(sorted)*ruleSize)
	for i, r := range sorted {
		if r.Port == 0 {
			return PortPolicy{}, errors.New("port policy lists port 0")
		}
		if i > 0 && sorted[i-1].Port == r.Port {
			return PortPolicy{}, fmt.Errorf("port policy lists port %d twice, with and without PROXY header", r.Port)
		}
		text = append(text, byte(r.Port>>8), byte(r.Port), proxyByte(r.Proxy))
	}
	state := PolicyOpen
	if restricted {
		state = PolicyRestricted
	}
	return PortPolicy{state: state, rules: string(text)}, nil
}

// State returns whether the policy is known and whether it restricts.
func (p PortPolicy) State() PolicyState { return p.state }

// Allows reports whether clients may reach port. Unknown allows none.
func (p PortPolicy) Allows(port uint16) bool {
	switch p.state {
	case PolicyOpen:
		return true
	case PolicyRestricted:
		_, listed := p.find(port)
		return listed
	default:
		return false
	}
}

// Proxy reports whether a connection to port begins with a PROXY header.
func (p PortPolicy) Proxy(port uint16) bool {
	proxy, _ := p.find(port)
	return proxy
}

// Narrow is p as far as o allows it too: a report about a policy that is proven takes ports
// away and adds none. A port that p lists keeps p's rule. Of an unknown policy and any other it is
// the unknown one.
func (p PortPolicy) Narrow(o PortPolicy) PortPolicy {
	if p.state == PolicyUnknown || o.state == PolicyUnknown {
		return PortPolicy{}
	}
	restricted := p.state == PolicyRestricted || o.state == PolicyRestricted
	var rules []PortRule
	add := func(r PortRule) {
		if !restricted || p.Allows(r.Port) && o.Allows(r.Port) {
			rules = append(rules, r)
		}
	}
	for _, r := range p.Rules() {
		add(r)
	}
	for _, r := range o.Rules() {
		if _, listed := p.find(r.Port); !listed {
			add(r)
		}
	}
	narrow, err := NewPortPolicy(restricted, rules)
	if err != nil { // together they list too many
		return PortPolicy{}
	}
	return narrow
}

// Rules lists the ports, sorted.
func (p PortPolicy) Rules() []PortRule {
	rules := make([]PortRule, len(p.rules)/ruleSize)
	for i := range rules {
		rules[i] = p.rule(i)
	}
	return rules
}

func (p PortPolicy) rule(i int) PortRule {
	r := p.rules[i*ruleSize:]
	return PortRule{Port: uint16(r[0])<<8 | uint16(r[1]), Proxy: r[2] != 0}
}

func (p PortPolicy) find(port uint16) (proxy, listed bool) {
	low, high := 0, len(p.rules)/ruleSize
	for low < high {
		middle := (low + high) / 2
		switch r := p.rule(middle); {
		case r.Port == port:
			return r.Proxy, true
		case r.Port < port:
			low = middle + 1
		default:
			high = middle
		}
	}
	return false, false
}

// proxyByte tells the two rules of one port apart in the text.
func proxyByte(proxy bool) byte {
	if proxy {
		return 1
	}
	return 0
}
