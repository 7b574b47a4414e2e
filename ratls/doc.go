// Package ratls verifies the certificates by which dstack's confidential VMs prove
// who they are, completely, and makes such certificates: X.509 with an app's
// identity, and evidence of the hardware below it (RA-TLS).
//
// A [Verifier] judges evidence: that Intel's hardware made it, for this key, on a
// platform that is up to date, and what runs there; then whether a [Policy] accepts
// that. [Verifier.ClientConfig] and [Verifier.HTTPClient] make connections to
// attested peers, [Verifier.Appraise] gives the [Verdict] alone, and
// [Verifier.Examine] each step of the way.
//
// [Identify] says who the holder of a certificate is that an authority (a KMS) has
// issued; evidence in it counts as an [Appraiser] says. [ParseExtensions] reads one
// certificate. [Authority] issues certificates where there is no KMS.
//
// The parts can be used alone: package tdx reads quotes, qvl judges them by Intel's
// rules, pccs fetches what Intel publishes, attestation reads evidence and event logs,
// attester makes evidence of the own machine.
//
// Genuine hardware alone proves no app: app and instance are the word of the system that
// was measured, and any system may say the same. A verdict on who a machine is needs the
// system's measurements in the Policy, or a KMS's root that has issued the certificate
// ([Peer.Roots]). Connections refuse a peer of which neither is known; [Peer.AnySystem]
// switches that off.
//
// Evidence of AMD SEV-SNP, AWS Nitro and Google's TPMs is known by name and refused.
// A verdict says what was measured at the machine's start; it does not say what a
// measured program does afterwards.
//
// All input is held to be hostile: every decoder is bounded by its input in time
// and memory, refuses what it does not know inside a known structure, and returns
// an error or a value, never both. What is exported may be called concurrently.
//
// Read verifier.go and appraisal.go first: they name the steps in order. Then
// policy.go, identity.go, and for the formats extension.go and appinfo.go.
package ratls
