// Package tdxpki is a synthetic Intel TDX world for tests: Intel's authorities,
// a platform and its provisioning certificate (PCK), quotes, the collateral by
// which they are judged and a server of it, and on top of that what dstack's
// confidential VMs make of them: event logs, attestations, certificates.
//
// It encodes on its own, from the formats' descriptions: it shares no code with
// the packages it tests, which would otherwise be tested against themselves.
// It reads nothing and verifies nothing.
//
// Everything comes from a seed and a time, signatures included (RFC 6979): the
// same two give the same bytes. Two worlds of different seeds bear the same
// names and trust nothing of each other, so one is the other's forger.
//
// By default all is well: a quote verifies and everything is UpToDate. To break
// one thing, change it before it is signed or after:
//
//	p := tdxpki.New(1, time.Now())
//	q := p.Quote()
//	q.TD.TDAttributes |= 1   // signed, but a debug TD
//	q.Build()
//	q.TD.MRTD[0] ^= 1        // no longer what was signed
//	raw := q.Encode()
//
// Whatever cannot be encoded is a mistake of the test, and panics. Values may be
// read concurrently once nobody changes them; a [PCCS] may be used concurrently.
//
// Only tests may import it. Read pki.go and pck.go, then quote.go and
// collateral.go; then events.go, attestation.go, certificate.go and guest.go.
package tdxpki
