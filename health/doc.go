// Package health decides who may receive traffic: it turns handshake ages and
// failed dials into states and weights, and publishes them as numbered snapshots.
//
// The rules are pure: verdict.go says what the facts about an instance mean,
// dials.go which failed dials count, ejection.go what they do. The Monitor (monitor.go) owns the facts: the
// control plane tells it who is there (entries.go), a dump of the WireGuard device
// when they last shook hands (watch.go), the data plane how dials end. Whatever
// follows from the passing of time happens on time, by timer (deadlines.go).
//
// It does not dial or probe: a handshake is the only proof that an instance lives,
// because it alone needs the instance's key. It does not choose among the healthy
// (package router), and closes no connection: it tells through Options.OnGone.
package health
