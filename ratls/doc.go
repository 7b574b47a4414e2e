// Package ratls connects programs to dstack CVMs and verifies their hardware:
//
//	collateral, err := pccs.New(pccs.Options{Dir: "/var/cache/collateral"})
//	check(err)
//	verifier, err := ratls.NewVerifier(ratls.VerifierOptions{Collateral: collateral})
//	check(err)
//	kms, err := os.ReadFile("kms-root.pem")
//	check(err)
//	roots := x509.NewCertPool()
//	roots.AppendCertsFromPEM(kms)
//	answer, err := verifier.HTTPClient(ratls.Peer{Roots: roots}).Get("https://vm.example.com/")
//	check(err)
//
// It verifies the RA-TLS certificates of CVMs completely, and issues such certificates:
// X.509 with the identity of an app and evidence of the hardware. The module path sallyport
// has no domain, so another module imports the package by "replace sallyport => PATH".
//
// A [Verifier] appraises evidence: that Intel's hardware made it, for this key, on a
// platform that is up to date; what runs there; and whether a [Policy] accepts that.
// [Verifier.ClientConfig] and [Verifier.HTTPClient] connect to attested peers,
// [Verifier.Appraise] returns the [Verdict] alone, and [Verifier.Examine] returns each step.
//
// [Identify] returns the identity in a certificate that an authority (a KMS) issued; an
// [Appraiser] decides about evidence in it. [ParseExtensions] reads one certificate.
// [Authority] issues certificates where there is no KMS.
//
// The parts can be used alone: package tdx reads quotes, qvl judges them by Intel's rules,
// pccs fetches what Intel publishes, attestation reads evidence and event logs, attester
// gets evidence of the CVM that the program runs in.
//
// Genuine hardware alone proves no app: app and instance are claims of the measured system,
// and any system can make them. So the system must be known: its measurements are in the
// Policy, or a KMS's root issued the certificate ([Peer.Roots]). Connections refuse a peer
// for which neither is true; [Peer.AnySystem] switches that off.
//
// Evidence of AMD SEV-SNP, AWS Nitro and Google's TPMs is recognised and refused. A verdict
// says what was measured when the CVM started, and not what a measured program does
// afterwards.
//
// All input is hostile: every decoder is bounded by its input in time and memory, refuses
// unknown parts of a known structure, and returns an error or a value, never both. Exported
// functions and methods may be called concurrently.
//
// Read verifier.go and appraisal.go first: they name the steps in order. Then policy.go,
// identity.go, and for the formats extension.go and appinfo.go.
package ratls
