// Package attestation reads and writes the evidence of a dstack CVM: a quote of its
// hardware, the log of what was measured into it, and the configuration of its start.
//
// [Parse] reads both wire forms, [Legacy] the pair of quote and JSON log that older guests
// send. [RuntimeLog] is the log that counts: [RuntimeLog.Verify] replays it against a
// register of the quote, and only then its events mean anything. [ReportData] is what
// evidence must contain to be bound to a key.
//
// The package judges nothing. It does not open the quote (sallyport/ratls/tdx parses it,
// qvl verifies it), and does not decide whether the configuration is true, which the host
// writes and no register covers. Evidence of other hardware than Intel TDX is recognised and
// refused with an [UnsupportedError]. The package does no I/O.
//
// All input is hostile: lengths and counts are compared with the available bytes before
// anything is allocated, nothing recurses, and unknown content is refused. Everything may
// be called concurrently.
//
// Read attestation.go first, then event.go and runtime.go for the log, and v0.go, v1.go and
// eventlog.go for the three wire forms.
package attestation
