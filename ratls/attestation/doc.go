// Package attestation reads and writes the evidence that a dstack machine shows
// of itself: a quote of its hardware, the log of what was measured into it, and
// the configuration it was started with.
//
// [Parse] reads both wire forms, [Legacy] the pair of quote and JSON log that
// older guests send. [RuntimeLog] is the log that counts: [RuntimeLog.Verify]
// replays it against a register of the quote, and only then its events mean anything.
// [ReportData] is what evidence must carry to be bound to a key.
//
// It judges nothing: not the quote, which it does not open (sallyport/ratls/tdx
// parses it, qvl verifies it), not whether the configuration is true, which the
// host writes and no register covers. Evidence of other hardware than Intel TDX is
// recognised and refused with an [UnsupportedError]. It does no I/O.
//
// All input is held to be hostile: lengths and counts are compared with what is
// there before anything is made of them, nothing recurses, and what is not known
// is refused. Everything may be called concurrently.
//
// Read attestation.go first, then event.go and runtime.go for what a log is,
// v0.go, v1.go and eventlog.go for the three forms on the wire.
package attestation
