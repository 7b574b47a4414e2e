package record

import (
	"fmt"

	"sallyport/internal/vm"
)

// policyJSON lists each port once: with PROXY header or without.
type policyJSON struct {
	Version    int      `json:"v"`
	Restricted bool     `json:"restricted"`
	Ports      []uint16 `json:"ports,omitempty"`
	ProxyPorts []uint16 `json:"proxy_ports,omitempty"`
}

// EncodePolicy returns the value of an operator's policy.
func EncodePolicy(p vm.PortPolicy) ([]byte, error) { return encodeJSON(newPolicyJSON(p)) }

// DecodePolicy reads what EncodePolicy wrote.
func DecodePolicy(value []byte) (vm.PortPolicy, error) {
	var j *policyJSON
	if err := strictJSON(value, &j); err != nil {
		return vm.PortPolicy{}, err
	}
	return j.policy()
}

func newPolicyJSON(p vm.PortPolicy) *policyJSON {
	if p.State() == vm.PolicyUnknown {
		return nil
	}
	j := &policyJSON{Version: version, Restricted: p.State() == vm.PolicyRestricted}
	for _, r := range p.Rules() {
		if r.Proxy {
			j.ProxyPorts = append(j.ProxyPorts, r.Port)
		} else {
			j.Ports = append(j.Ports, r.Port)
		}
	}
	return j
}

// policy returns the unknown policy for nil; it allows nothing.
func (j *policyJSON) policy() (vm.PortPolicy, error) {
	if j == nil {
		return vm.PortPolicy{}, nil
	}
	if j.Version != version {
		return vm.PortPolicy{}, fmt.Errorf("policy version %d, this gateway supports %d", j.Version, version)
	}
	rules := make([]vm.PortRule, 0, len(j.Ports)+len(j.ProxyPorts))
	for _, p := range j.Ports {
		rules = append(rules, vm.PortRule{Port: p})
	}
	for _, p := range j.ProxyPorts {
		rules = append(rules, vm.PortRule{Port: p, Proxy: true})
	}
	return vm.NewPortPolicy(j.Restricted, rules)
}
