// Package attack is hostile clients for systems of one's own: what a stranger can do to
// a TLS gateway, at a rate that is stated, so that what it does to other clients can
// be measured.
//
// Every form is bounded in time, in connections and in its rate, and the target must be
// an address of this machine, which in a network namespace is one of that namespace. It
// measures no latency: package load does, beside it. It refuses to go on beyond its time,
// whatever the target does, and to spoof addresses.
//
// A goroutine per connection costs more than the loops of package load, and lets a form
// be read from top to bottom. At 2,000 connections a second that is a fifth of a core.
//
// How to read it: [Options] in options.go; [Run] in run.go makes the connections; forms.go
// is what each one does, records.go how a form writes TLS records that crypto/tls would
// not write, handshake.go where their keys come from; result.go is what is left.
package attack
