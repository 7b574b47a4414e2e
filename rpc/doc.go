// Package rpc is the API by which CVMs register themselves, on the wire as
// dstack guests speak it: methods under /prpc/ over TLS with a client
// certificate, in JSON or protobuf. It has the client for it too.
//
// It checks form: TLS, sizes, times, numbers, keys. It refuses to decide: who a
// certificate stands for, Options.Identify says; whether a guest may come in and
// which address it gets, a Registrar does. It keeps nothing about guests, and no
// request reaches code behind it that is not well formed and bounded.
//
// A request's way: gate.go (accept) → places.go (who may have a place) → conn.go (the TLS
// handshake, its work in the fair turns of turns.go) with what identity.go has → handler.go
// (method, certificate, size, pace.go, turn) → encoding.go → methods.go or register.go →
// encoding.go. The server's certificate and the
// authority that it believes come from files.go or from the dstack guest agent,
// agent.go, and are replaced without dropping a connection. The messages are in
// gatewaypb, their JSON form in internal/pbjson. client.go and answer.go are the
// guest's side. wellknown.go is what clients get of the gateway itself; what is
// published about certificates, there and by AcmeInfo, is in acmeinfo.go.
package rpc
