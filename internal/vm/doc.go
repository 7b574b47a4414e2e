// Package vm holds the words that the two planes share: what an app, an
// instance and a WireGuard key are, and the immutable Snapshot in which the
// control plane tells the data plane about them.
//
// The package does no I/O and starts nothing. Its values are either immutable
// (ids, Instance, App, Snapshot) or atomic counters (Gauge, Live) that several
// goroutines may use at once.
package vm
