// Package attester gets evidence about this very machine: the Attester of RFC 9334.
// The evidence goes into RA-TLS certificates and beside published keys, and package
// qvl and its like judge it elsewhere.
//
// [Find] picks the source: the dstack guest agent, which knows the event log too, or
// the Linux kernel, which gives a quote alone. On a plain machine there is none, and
// that is [ErrNoSource]: everything else works there.
//
// It quotes what it is asked to and checks that the quote is about that. It does not
// verify quotes, makes none up, and knows Intel TDX alone.
//
// attester.go says what evidence is and finds the source; dstack.go and kernel.go are
// the sources.
package attester
