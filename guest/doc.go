// Package guest is a VM's side of a registration. It keeps the VM registered with its
// gateways, and the VM's tunnel as they answer.
//
// It decides when to register (agent.go) and which parts of an answer to accept (grant.go).
// It opens no connections and no tunnel: the caller supplies both.
package guest
