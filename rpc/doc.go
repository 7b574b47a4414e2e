// Package rpc is the guests' API: the server where CVMs register themselves, in the wire
// format of dstack guests, and a client for it. Methods are below /prpc/, over TLS with a
// client certificate, in JSON or protobuf.
//
// The server checks form: TLS, sizes, times, numbers, keys. It does not decide:
// Options.Identify identifies the owner of a certificate, and a Registrar admits guests and
// assigns addresses. The package keeps nothing about guests. Every request that reaches
// other code is well formed and bounded.
//
// A request goes through gate.go (accept), places.go (a place for the connection), conn.go
// (the TLS handshake, its work in the fair turns of turns.go) with the certificates of
// identity.go, handler.go (method, certificate, size, pace.go, turn), encoding.go,
// methods.go or register.go, and encoding.go again.
//
// The server's certificate and the accepted authority come from files.go or from the dstack
// guest agent, agent.go, and are replaced without dropping a connection. The messages are in
// gatewaypb, their JSON form in internal/pbjson. client.go and answer.go are the guest's
// side. wellknown.go shows clients what they may know about the gateway; acmeinfo.go has
// what is published about certificates, there and by AcmeInfo.
package rpc
