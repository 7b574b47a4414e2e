package vm

import (
	"slices"
	"testing"
)

func policy(t *testing.T, restricted bool, rules ...PortRule) PortPolicy {
	t.Helper()
	p, err := NewPortPolicy(restricted, rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicyDecidesByPort(t *testing.T) {
	rules := []PortRule{{8080, false}, {443, true}, {65535, false}, {1, false}}
	for _, c := range []struct {
		name          string
		policy        PortPolicy
		port          uint16
		allows, proxy bool
	}{
		{"unknown fails closed", PortPolicy{}, 80, false, false},
		{"open", OpenPolicy(), 80, true, false},
		{"open without a rule", policy(t, false, rules...), 81, true, false},
		{"open with a rule", policy(t, false, rules...), 443, true, true},
		{"restricted and listed", policy(t, true, rules...), 8080, true, false},
		{"restricted and listed with proxy", policy(t, true, rules...), 443, true, true},
		{"restricted, first port", policy(t, true, rules...), 1, true, false},
		{"restricted, last port", policy(t, true, rules...), 65535, true, false},
		{"restricted and not listed", policy(t, true, rules...), 444, false, false},
		{"restricted to nothing", policy(t, true), 80, false, false},
	} {
		if got := c.policy.Allows(c.port); got != c.allows {
			t.Errorf("%s: Allows(%d) = %v", c.name, c.port, got)
		}
		if got := c.policy.Proxy(c.port); got != c.proxy {
			t.Errorf("%s: Proxy(%d) = %v", c.name, c.port, got)
		}
	}
}

func TestPoliciesWithTheSameRulesAreEqual(t *testing.T) {
	a := policy(t, true, PortRule{80, false}, PortRule{443, true}, PortRule{80, false})
	b := policy(t, true, PortRule{443, true}, PortRule{80, false})
	if a != b {
		t.Errorf("%v and %v differ", a.Rules(), b.Rules())
	}
	if want := []PortRule{{80, false}, {443, true}}; !slices.Equal(a.Rules(), want) {
		t.Errorf("rules %v, want %v", a.Rules(), want)
	}
	if a == policy(t, false, a.Rules()...) || a == policy(t, true, PortRule{80, true}, PortRule{443, true}) {
		t.Error("different policies are equal")
	}
}

func TestBadPolicyIsUnknown(t *testing.T) {
	tooMany := make([]PortRule, MaxPortRules+1)
	for i := range tooMany {
		tooMany[i].Port = uint16(i + 1)
	}
	for name, rules := range map[string][]PortRule{
		"port 0":        {{0, false}},
		"contradiction": {{80, true}, {443, false}, {80, false}},
		"too many":      tooMany,
	} {
		if p, err := NewPortPolicy(false, rules); err == nil || p.State() != PolicyUnknown {
			t.Errorf("%s: %v, %v, want an error and the unknown policy", name, p.State(), err)
		}
	}
	if _, err := NewPortPolicy(true, tooMany[:MaxPortRules]); err != nil {
		t.Errorf("%d rules: %v", MaxPortRules, err)
	}
}

func TestNarrowTakesPortsAwayOnly(t *testing.T) {
	policy := func(restricted bool, rules ...PortRule) PortPolicy {
		p, err := NewPortPolicy(restricted, rules)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	plain, proxied := PortRule{Port: 80}, PortRule{Port: 80, Proxy: true}
	other := PortRule{Port: 443}
	for name, c := range map[string]struct{ proven, report, want PortPolicy }{
		"both open":                      {OpenPolicy(), OpenPolicy(), OpenPolicy()},
		"the proven one restricts":       {policy(true, plain), OpenPolicy(), policy(true, plain)},
		"the report restricts":           {OpenPolicy(), policy(true, proxied), policy(true, proxied)},
		"both restrict":                  {policy(true, plain, other), policy(true, other), policy(true, other)},
		"nothing in common":              {policy(true, plain), policy(true, other), policy(true)},
		"the proven rule holds":          {policy(true, proxied), policy(true, plain), policy(true, proxied)},
		"also where all is open":         {policy(false, proxied), policy(false, plain, other), policy(false, proxied, other)},
		"a rule for a port that is shut": {policy(true, plain), policy(false, other), policy(true, plain)},
		"unknown":                        {PortPolicy{}, OpenPolicy(), PortPolicy{}},
		"unknown report":                 {OpenPolicy(), PortPolicy{}, PortPolicy{}},
	} {
		if got := c.proven.Narrow(c.report); got != c.want {
			t.Errorf("%s: %v %v, want %v %v", name, got.State(), got.Rules(), c.want.State(), c.want.Rules())
		}
	}
}
