// Package tdx reads quotes of Intel TDX and checks what is signed in them.
//
// [Parse] turns the bytes of a quote, version 4 or 5, of TDX 1.0 or 1.5, into a
// [Quote]. Four methods then check one link each of the chain that makes it
// Intel's word:
//
//   - [Quote.VerifyChain]: the root issued the platform's certificate (PCK).
//   - [Quote.VerifyQEReport]: the platform's key signed the report of its
//     quoting enclave (QE).
//   - [Quote.VerifyAttestationKey]: that report names the attestation key.
//   - [Quote.VerifySignature]: the attestation key signed header and TD report.
//
// All four hold, or nothing in the quote is to be believed. [ParsePCK] reads
// which platform it is, [Report.CheckAttributes] whether the TD is closed to its host.
//
// The package does no I/O and knows no collateral: whether a platform, a QE or
// a TDX module is up to date, and what is revoked, is for package ratls/qvl.
// It reads no other evidence: quotes of SGX enclaves, other keys than ECDSA
// P-256, and certification data without the PCK's chain are refused by name.
//
// All input is held to be hostile. Decoders are bounded by it in time and
// memory, keep nothing of it, never panic, and return a value or an error, never
// both. Everything may be called concurrently.
//
// Why not github.com/google/go-tdx-guest, with which the tests compare: it
// panics at five places on hostile quotes (which arrive before anybody is
// authenticated), refuses platforms of Intel's Processor CA, prints to standard
// output, and brings protobuf and a logger to every importer.
//
// Read quote.go first, then parse.go, verify.go, chain.go, pck.go, attributes.go.
package tdx
