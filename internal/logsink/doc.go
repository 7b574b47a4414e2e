// Package logsink writes log lines on a goroutine of its own. Whoever logs never
// waits: not for a reader of the log that has stopped, not for a disk, and not for
// somebody else who logs. Lines that cannot be kept are dropped and counted, and the
// log tells how many, at most once a minute.
//
//	handler.go  a slog.Handler: renders a record and puts its line into a ring
//	ring.go     a bounded queue without a lock; a thread that must not share one has its own
//	sink.go     the writer: takes from all rings, in the order of time, and writes
//
// It does not open, rotate or ship files, and lines that are still in the rings when
// the process is killed are lost.
package logsink
