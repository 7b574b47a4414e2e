// Package vm holds the types that the two planes share: ids of apps and instances,
// WireGuard keys, port policies, and the immutable Snapshot that the control plane publishes
// to the data plane.
//
// The package does no I/O and starts no goroutines. Its values are either immutable (ids,
// policies, Instance, App, Snapshot) or atomic counters (Gauge, Live) that several
// goroutines may use at once; only the Builder has a single owner. The package does not
// judge: the Builder gets the weight and health of each instance as values.
//
// Read instance.go and app.go first, then snapshot.go for lookups, builder.go and paged.go
// for how the next Snapshot shares with the previous one.
package vm
