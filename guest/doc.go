// Package guest is a CVM's side of a registration. It keeps the CVM registered with its
// gateways, and the CVM's tunnel as they answer.
//
//	agent.go    when to register
//	grant.go    which parts of an answer to accept
//	network.go  the tunnel's device: made as a grant says
//	forward.go  connections of the tunnel's ports, taken elsewhere
//
// It registers nowhere and opens no tunnel itself: the caller supplies both.
package guest
