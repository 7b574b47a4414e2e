// Package tdx reads quotes of Intel TDX and checks their signatures.
//
// [Parse] turns the bytes of a quote, version 4 or 5, of TDX 1.0 or 1.5, into a [Quote].
// Four methods then check one link each of the chain from the quote to Intel's root:
//
//   - [Quote.VerifyChain]: the root issued the platform's certificate (PCK).
//   - [Quote.VerifyQEReport]: the platform's key signed the report of its
//     quoting enclave (QE).
//   - [Quote.VerifyAttestationKey]: that report names the attestation key.
//   - [Quote.VerifySignature]: the attestation key signed header and TD report.
//
// Nothing in a quote can be trusted unless all four succeed. [ParsePCK] returns the
// platform of a PCK certificate. [Report.CheckAttributes] checks that the TD is closed to
// its host.
//
// The package does no I/O and has no collateral: package ratls/qvl decides whether a
// platform, a QE or a TDX module is up to date, and what is revoked. Other evidence is
// refused by name: quotes of SGX enclaves, keys other than ECDSA P-256, and certification
// data without the PCK's chain.
//
// All input is hostile. Decoders are bounded by it in time and memory, keep no reference to
// it, never panic, and return a value or an error, never both. Everything may be called
// concurrently.
//
// The package does not use github.com/google/go-tdx-guest, with which the tests compare. On
// hostile quotes, which arrive before authentication, go-tdx-guest panics at five places. It
// also refuses platforms of Intel's Processor CA, prints to standard output, and brings
// protobuf and a logger to every importer.
//
// Read quote.go first, then parse.go, verify.go, chain.go, pck.go, attributes.go.
package tdx
