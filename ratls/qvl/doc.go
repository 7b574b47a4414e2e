// Package qvl judges quotes of Intel TDX by Intel's rules: whether a quote is genuine, and
// how up to date its platform, its TDX module and its quoting enclave are. The name stands
// for "quote verification library".
//
// [ParseCollateral] reads what Intel publishes about a kind of platform. [Prepare] checks
// its signatures once; [Prepared.Verify] judges any number of quotes by it, and [Verify]
// does both. The [Result] has the [Status], which is a value: the caller's policy decides
// which statuses to accept. Revoked must never be one of them. The Result also lists each
// rule that was applied, in order, and until when the verdict may be kept.
//
// The package does no I/O and does not know the time. It fetches nothing, accepts no
// expired collateral and no missing revocation list, and has no switch that skips a rule. It
// knows nothing about apps, measurements and event logs.
//
// It follows Intel's SGX-TDX-DCAP-QuoteVerificationLibrary, and dcap-qvl where Intel's
// library is looser: a debug QE is refused whatever its identity says. One of Intel's
// statuses is not known here: TDRelaunchAdvised (the TDX module was updated under a TD that
// an old module had launched) becomes OutOfDate.
//
// All input is hostile: decoders are bounded in time and memory, never panic, and return a
// value or an error, never both. Everything may be called concurrently.
//
// Read result.go and verify.go first, which name the rules in order, then match.go and
// status.go for the verdict, prepare.go, chain.go and crl.go for the signatures, tcbinfo.go
// and qeidentity.go for the documents.
package qvl
