// Package logsink writes log lines on a goroutine of its own. The caller of a logger never
// waits: not for a slow reader, not for a disk, and not for another caller. Lines that do
// not fit are dropped and counted, and the log reports the count at most once a minute.
//
//	handler.go  a slog.Handler: renders a record and puts its line into a ring
//	ring.go     a bounded queue without a lock; a thread that must not share one has its own
//	sink.go     the writer: takes from all rings, in the order of time, and writes
//
// The package does not open, rotate or ship files. Lines that are still in the rings when
// the process is killed are lost.
package logsink
