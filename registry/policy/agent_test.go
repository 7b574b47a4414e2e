package policy

import (
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
)

func hash(text string) vm.ComposeHash { return vm.ComposeHash(sha256.Sum256([]byte(text))) }

func restricted(t testing.TB, ports ...uint16) vm.PortPolicy {
	t.Helper()
	var rules []vm.PortRule
	for _, p := range ports {
		rules = append(rules, vm.PortRule{Port: p})
	}
	policy, err := vm.NewPortPolicy(true, rules)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

func TestPolicyOfInfo(t *testing.T) {
	stated := func(policy string) string { return `{"name":"x","port_policy":` + policy + `}` }
	rules, err := vm.NewPortPolicy(true, []vm.PortRule{{Port: 80}, {Port: 443, Proxy: true}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		compose string
		want    vm.PortPolicy
	}{
		"none":             {`{"name":"x"}`, vm.OpenPolicy()},
		"null":             {stated(`null`), vm.OpenPolicy()},
		"empty":            {stated(`{}`), vm.OpenPolicy()},
		"closed":           {stated(`{"restrict_mode":true,"ports":[]}`), restricted(t)},
		"rules":            {stated(`{"restrict_mode":true,"ports":[{"port":80},{"port":443,"pp":true}]}`), rules},
		"another spelling": {`{"Port_Policy":{"restrict_mode":true}}`, vm.OpenPolicy()}, // as the guest reads it
	} {
		if got, err := policyOfInfo([]byte(gwtest.AgentInfo(t, c.compose)), hash(c.compose)); err != nil || got != c.want {
			t.Errorf("%s: %v %v, %v", name, got.State(), got.Rules(), err)
		}
	}
	for name, c := range map[string]struct{ compose, answer string }{
		"another compose file": {`{}`, gwtest.AgentInfo(t, `{ }`)},
		"no compose file":      {`{}`, `{"tcb_info":"{}"}`},
		"no tcb_info":          {`{}`, `{}`},
		"null tcb_info":        {`{}`, `{"tcb_info":null}`},
		"tcb_info not JSON":    {`{}`, `{"tcb_info":"?"}`},
		"tcb_info an object":   {`{}`, `{"tcb_info":{"app_compose":"{}"}}`},
		"not JSON":             {`{}`, `<html>`},
		"nothing":              {`{}`, ``},
		"compose not JSON":     {`version: 3`, gwtest.AgentInfo(t, `version: 3`)},
		"port 0":               {stated(`{"ports":[{"port":0}]}`), gwtest.AgentInfo(t, stated(`{"ports":[{"port":0}]}`))},
		"port 65536":           {stated(`{"ports":[{"port":65536}]}`), gwtest.AgentInfo(t, stated(`{"ports":[{"port":65536}]}`))},
		"too long":             {`{}`, gwtest.AgentInfo(t, `{}`) + strings.Repeat(" ", maxInfo)},
	} {
		if got, err := policyOfInfo([]byte(c.answer), hash(c.compose)); !isRefused(err) || got.State() != vm.PolicyUnknown {
			t.Errorf("%s: %v, %v", name, got.State(), err)
		}
	}
	if got, err := policyOfInfo([]byte(`{"tcb_info":""}`), hash("{}")); !errors.Is(err, errPrivate) || !isRefused(err) || got.State() != vm.PolicyUnknown {
		t.Errorf("a compose file that is kept to itself: %v, %v", got.State(), err)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(gwtest.AgentInfo(f, `{"port_policy":{"restrict_mode":true,"ports":[{"port":80,"pp":true}]}}`)), `{}`)
	f.Add([]byte(`{"tcb_info":""}`), ``)
	f.Fuzz(func(t *testing.T, answer []byte, file string) {
		for _, body := range [][]byte{answer, []byte(gwtest.AgentInfo(t, file))} {
			p, err := policyOfInfo(body, hash(file))
			if err != nil && (!isRefused(err) || p.State() != vm.PolicyUnknown) {
				t.Errorf("%v, %v", p.State(), err)
			}
		}
	})
}
