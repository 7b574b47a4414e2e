// Package attack has hostile clients for your own systems. It does to a TLS gateway what a
// stranger can do, at a stated rate, so that the effect on other clients can be measured.
//
// Every form is bounded in time, in connections and in its rate. The target must be an
// address of this machine; in a network namespace, one of that namespace. The package
// measures no latency (package load does, beside it), never runs beyond its time, whatever
// the target does, and spoofs no addresses.
//
// A goroutine per connection costs more than the loops of package load, and lets a form be
// read from top to bottom. At 2,000 connections a second that is a fifth of a core.
//
// Read [Options] in options.go and [Run] in run.go first. forms.go has what each form does,
// records.go TLS records that crypto/tls would not write, handshake.go their keys, and
// result.go the result.
package attack
