// Package vm holds the words that the two planes share: what an app, an
// instance and a WireGuard key are, and the immutable Snapshot in which the
// control plane tells the data plane about them.
//
// The package does no I/O and starts nothing. Its values are either immutable
// (ids, policies, Instance, App, Snapshot) or atomic counters (Gauge, Live) that
// several goroutines may use at once; only the Builder has a single owner. It
// does not judge: that an instance is healthy, and how much it weighs, is what
// the Builder is told.
//
// Start with instance.go and app.go, then snapshot.go for how they are found,
// builder.go and paged.go for how the next Snapshot shares with the last one.
package vm
