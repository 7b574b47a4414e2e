// Package qvl judges quotes of Intel TDX by Intel's rules: whether a quote is
// genuine, and how up to date its platform, its TDX module and its quoting enclave
// are (a "quote verification library").
//
// [ParseCollateral] reads what Intel publishes about a kind of platform.
// [Prepare] checks its signatures once; [Prepared.Verify] judges any number of
// quotes by it, and [Verify] does both. The [Result] says the [Status], which is
// a value: what statuses to accept is its user's policy, in which
// Revoked has no place. It also says each rule that was applied, in order, and until
// when the verdict may be kept.
//
// The package does no I/O and does not know the time. It fetches nothing, accepts
// no expired collateral and no missing revocation list, has no switch that
// leaves a rule out, and knows nothing of apps, measurements and event logs.
//
// It follows Intel's SGX-TDX-DCAP-QuoteVerificationLibrary, and where that is
// looser, dcap-qvl: a debug QE is refused whatever its identity says. One status
// of Intel's is not known here: TDRelaunchAdvised (the TDX module was updated
// under a TD that was launched by an old one) is OutOfDate.
//
// All input is held to be hostile: decoders are bounded in time and memory, never
// panic, and return a value or an error, never both. Everything may be called
// concurrently.
//
// Read result.go and verify.go first, which name the rules in order, then
// match.go and status.go for the verdict, prepare.go, chain.go and crl.go for the
// signatures, tcbinfo.go and qeidentity.go for the documents.
package qvl
