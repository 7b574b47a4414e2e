// Package attester gets evidence about the CVM that this process runs in: it is the
// Attester of RFC 9334. The evidence goes into RA-TLS certificates and is published beside
// keys; package qvl and others verify it elsewhere.
//
// [Find] selects the source: the dstack guest agent, which also has the event log, or the
// Linux kernel, which gives a quote alone. Outside a CVM there is no source, and Find
// returns [ErrNoSource]; everything else works there.
//
// The package checks that a quote is about what was requested. It does not verify quotes,
// fakes none, and supports only Intel TDX.
//
// Read attester.go first; dstack.go and kernel.go are the sources.
package attester
