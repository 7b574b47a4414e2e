// Package health decides which instances may receive traffic. It turns handshake ages and
// failed dials into states and weights, and publishes them as numbered snapshots.
//
// The rules are pure: verdict.go has the meaning of the facts about an instance, dials.go
// decides which failed dials count, ejection.go what they cause. The Monitor (monitor.go)
// owns the facts. The control plane adds and removes instances (entries.go), a dump of the
// WireGuard device has their last handshakes (watch.go), and the data plane reports how
// dials end. Timers apply what follows from the passing of time (deadlines.go).
//
// The package does not dial or probe: only a handshake proves that an instance lives,
// because it needs the instance's key. It does not choose among healthy instances (package
// router does), and closes no connection: it calls Options.OnGone.
package health
