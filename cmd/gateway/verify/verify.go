// Package verify is the command verify: it appraises evidence, and prints what that proves.
//
//	subject.go  what a file holds
//	host.go     what a host shows, or publishes
//	verify.go   the flags; package ratls appraises the evidence
//	system.go   what is known of the system that runs
//	report.go   what is printed
package verify

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway/appraise"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

type flags struct {
	collateral, at, policy, app, instance, connect string
	asJSON                                         bool
	system                                         systemFlags
}

// New returns the command.
func New() *cobra.Command {
	var f flags
	cmd := &cobra.Command{
		Use:   "verify HOST[:PORT] | FILE | -",
		Short: "Verify the attestation of a CVM, and print what it proves",
		Long: `verify appraises hardware evidence (Intel TDX) step by step: the signatures up to Intel's
root, Intel's collateral for the platform, the event log, the certificate's key, and a
policy.

HOST is asked for its RA-TLS certificate. If it shows a certificate of a public CA, as
gateway.<domain> may do, it is asked for the evidence at /.dstack/acme-info. FILE (- is
standard input) is a certificate (PEM, DER), a quote, an attestation, or the JSON of the
dstack guest agent's GetQuote. Hex of those is accepted too.

	gateway verify gateway.gw.example.com
	gateway verify --collateral collateral.json --at 2026-03-01T00:00:00Z quote.bin

A step that holds is marked ✓, one that fails ✗, and one that the evidence or the policy
leaves open –. Without --policy, any app on an up-to-date platform is accepted: compare the
output with what you expect, or require it by --app, --instance and --policy.

App and instance are claims of the system in the CVM, and any system can make them. So
the system must be known, by one of these:

	--root kms-root.pem     the KMS accepted the system and issued its certificate
	--measurement mrtd=…,rtmr0=…,rtmr1=…,rtmr2=…    its measurements; may be repeated
	--policy gateway.toml   the allow_file lists it as [[measurement]]

Exit code 0: every step holds, and the system is known. 1: a step fails, or there was no
evidence. 2: wrong usage. 3: every step holds, but nothing that was checked identifies the
system (UNPROVEN). 4: no verdict is possible now, for example without Intel's collateral
(UNDECIDED).`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("verify: %d arguments: want a host, a file, or - for standard input", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if trimScheme(args[0]) == "" {
				return cli.Usage(errors.New("verify: want a host, a file, or - for standard input"))
			}
			return f.verify(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	cmd.Flags().StringVar(&f.policy, "policy", "", "file whose section [attestation] is applied, such as a gateway.toml")
	cmd.Flags().StringVar(&f.collateral, "collateral", "", "file with Intel's collateral (JSON of dcap-qvl): nothing is fetched")
	cmd.Flags().StringVar(&f.at, "at", "", "time for which to verify (RFC 3339; default: now)")
	cmd.Flags().StringVar(&f.app, "app", "", "app id that the evidence must have")
	cmd.Flags().StringVar(&f.instance, "instance", "", "instance id that the evidence must have")
	cmd.Flags().StringVar(&f.system.root, "root", "", "PEM file of the KMS's root that must have issued the certificate")
	cmd.Flags().StringArrayVar(&f.system.measurements, "measurement", nil, "measurements that the system must have: mrtd=HEX,rtmr0=HEX,rtmr1=HEX,rtmr2=HEX; rtmr0 may be left out; may be repeated")
	cmd.Flags().StringVar(&f.connect, "connect", "", "host:port to connect to in place of HOST, which stays the server name")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// timeLimit bounds a verification. A PCCS may be slow.
const timeLimit = 3 * time.Minute

// verify reads the options and the subject, appraises, and prints. It catches signals only
// after the subject was read: until then a signal ends the process at once.
func (f *flags) verify(ctx context.Context, out io.Writer, what string) error {
	opts, want, err := f.options()
	if err != nil {
		return err
	}
	data, isFile, err := readSubject(what)
	if err != nil {
		return err
	}
	ctx, stop := cli.UntilSignal(ctx, nil)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	s, err := openSubject(ctx, what, f.connect, data, isFile)
	if err != nil {
		return err
	}
	r, err := appraiseSubject(ctx, opts, s, want)
	if err != nil {
		return err
	}
	if opts.insecure {
		r.open = append(r.open, "hardware: the policy's insecure_root_ca replaces Intel's root, so the owner of its key can claim to be any CVM")
	}
	if f.asJSON {
		err = r.writeJSON(out)
	} else {
		r.write(out)
	}
	if err != nil {
		return err
	}
	return r.outcome()
}

// options say how to appraise.
type options struct {
	ratls.VerifierOptions
	insecure bool
	system   wantedSystem
	servers  *config.Attestation // whose PCCS are asked; nil: Collateral is given
}

// options returns what the flags ask for.
func (f *flags) options() (o options, want ratls.Peer, err error) {
	if want, err = f.peer(); err != nil {
		return o, want, cli.Usage(err)
	}
	if o.system, err = f.system.read(); err != nil {
		return o, want, err
	}
	now := time.Now
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return o, want, cli.Usage(fmt.Errorf("--at %q: want a time such as 2026-03-01T00:00:00Z", f.at))
		}
		now = func() time.Time { return at }
	}
	section, err := f.section()
	if err != nil {
		return o, want, fmt.Errorf("--policy: %w", err)
	}
	if o.VerifierOptions, err = appraise.VerifierOptions(*section); err != nil {
		return o, want, fmt.Errorf("--policy: %w", err)
	}
	if f.collateral != "" {
		if o.Collateral, err = pccs.File(f.collateral, o.Root); err != nil {
			return o, want, fmt.Errorf("--collateral: %w", err)
		}
	}
	o.Now, o.insecure = now, section.InsecureRootCA != ""
	if o.Collateral == nil {
		o.servers = section
	}
	return o, want, nil
}

// section returns the section of --policy, or an empty one. --collateral replaces its
// collateral_file.
func (f *flags) section() (*config.Attestation, error) {
	if f.policy == "" {
		return &config.Attestation{}, nil
	}
	section, err := config.LoadAttestation(f.policy)
	if err == nil && f.collateral != "" {
		section.CollateralFile = ""
	}
	return section, err
}

// peer returns the app and the instance that --app and --instance require.
func (f *flags) peer() (want ratls.Peer, err error) {
	if f.app != "" {
		if want.App, err = ratls.ParseAppID(f.app); err != nil {
			return want, fmt.Errorf("--app: %w", err)
		}
	}
	if f.instance != "" {
		if want.Instance, err = ratls.ParseInstanceID(f.instance); err != nil {
			return want, fmt.Errorf("--instance: %w", err)
		}
	}
	return want, nil
}

// appraiseSubject appraises the evidence, then whose it is.
func appraiseSubject(ctx context.Context, o options, s *subject, want ratls.Peer) (*report, error) {
	if o.servers != nil {
		client, err := appraise.NewPCCS(*o.servers, pccs.Options{Root: o.Root})
		if err != nil {
			return nil, err
		}
		defer client.Close()
		o.Collateral = client
	}
	verifier, err := ratls.NewVerifier(o.VerifierOptions)
	if err != nil {
		return nil, err
	}
	r := &report{Report: verifier.Examine(ctx, s.evidence), subject: s.what, open: s.open()}
	if r.Verdict != nil {
		s.identify(ctx, verifier, o.Now(), want, r)
		s.know(ctx, verifier, o.system, r)
		r.open = append(r.open, anything(o.Policy, want, r.Verdict.AppInfo)...)
	}
	return r, nil
}

// anything lists what neither the policy nor the flags restrict.
func anything(p *ratls.Policy, want ratls.Peer, info ratls.AppInfo) (list []string) {
	if !info.AppID.IsZero() && p.Apps == nil && p.ComposeHashes == nil && want.App.IsZero() && want.Instance.IsZero() {
		list = append(list, "app: any is accepted; name the one you expect by --app, or list it in the policy")
	}
	return list
}

// identify adds the steps about the certificate, if there is one, and about the app and the
// instance that were asked for.
func (s *subject) identify(ctx context.Context, v *ratls.Verifier, now time.Time, want ratls.Peer, r *report) {
	info := r.Verdict.AppInfo
	if c := s.certificate; c != nil {
		value := fmt.Sprintf("valid %s … %s", c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
		r.step("certificate", value, s.checkCertificate(ctx, v, now))
	}
	if !want.App.IsZero() {
		r.step("app is the one asked for", want.App.String(), expect("app", info.AppID, want.App))
	}
	if !want.Instance.IsZero() {
		r.step("instance is the one asked for", want.Instance.String(), expect("instance", info.InstanceID, want.Instance))
	}
}

// checkCertificate compares the certificate with its evidence, as a connection does. A
// certificate whose evidence is published elsewhere says nothing about the CVM.
func (s *subject) checkCertificate(ctx context.Context, v *ratls.Verifier, now time.Time) error {
	if now.Before(s.certificate.NotBefore) || now.After(s.certificate.NotAfter) {
		return errors.New("is not valid at " + now.UTC().Format(time.RFC3339))
	}
	if s.published {
		return nil
	}
	_, err := v.AppraisePeer(ctx, []*x509.Certificate{s.certificate}, ratls.Peer{AnySystem: true}) // see know
	return err
}

func expect[ID interface {
	comparable
	IsZero() bool
	String() string
}](kind string, is, want ID) error {
	switch {
	case is.IsZero():
		return fmt.Errorf("the evidence names no %s, want %s", kind, want)
	case is != want:
		return fmt.Errorf("is %s %s, want %s", kind, is, want)
	}
	return nil
}
