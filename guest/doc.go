// Package guest is a VM's side of a registration: it keeps the VM registered with
// its gateways and the VM's tunnel as they say.
//
// It decides when to register (agent.go) and what of an answer is believed
// (grant.go). It speaks to nobody itself: how a registration travels and what a
// tunnel is made of come from outside.
package guest
