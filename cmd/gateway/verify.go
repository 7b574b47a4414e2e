package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sallyport/config"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

type verifyFlags struct {
	collateral, at, policy, app, instance string
	asJSON                                bool
}

func newVerify() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify HOST[:PORT] | FILE | -",
		Short: "Verify the attestation of a machine, and say what it proves",
		Long: `verify judges hardware evidence (Intel TDX) step by step: the signatures up to Intel's
root, what Intel says of the platform, the event log, the certificate's key, and a policy.

HOST is asked for its RA-TLS certificate; one that has a certificate of a public CA, such as
gateway.<domain>, for the evidence that it publishes at /.dstack/acme-info. FILE (- is standard
input) is a certificate (PEM, DER), a quote, an attestation, or the JSON of the dstack guest
agent's GetQuote; hex of those is taken too.

	gateway verify gateway.gw.example.com
	gateway verify --collateral collateral.json --at 2026-03-01T00:00:00Z quote.bin

Exit code 0: everything that could be checked holds. What could not be is marked with –.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := untilSignal(cmd.Context(), func() {})
			defer stop()
			return f.verify(ctx, cmd.OutOrStdout(), args[0])
		},
	}
	cmd.Flags().StringVar(&f.policy, "policy", "", "file whose section [attestation] is applied, such as a gateway.toml")
	cmd.Flags().StringVar(&f.collateral, "collateral", "", "file with Intel's collateral (JSON of dcap-qvl): nothing is fetched")
	cmd.Flags().StringVar(&f.at, "at", "", "judge as of this time (RFC 3339)")
	cmd.Flags().StringVar(&f.app, "app", "", "the app id that it must be")
	cmd.Flags().StringVar(&f.instance, "instance", "", "the instance id that it must be")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// verifyTimeout is for all of it; a PCCS may be slow.
const verifyTimeout = 3 * time.Minute

func (f *verifyFlags) verify(ctx context.Context, out io.Writer, what string) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	opts, done, err := f.options()
	if err != nil {
		return err
	}
	defer done()
	s, err := openSubject(ctx, what)
	if err != nil {
		return err
	}
	verifier, err := ratls.NewVerifier(opts)
	if err != nil {
		return err
	}
	r := verifyReport{Subject: s.what, Report: verifier.Examine(ctx, s.evidence), missing: s.missing()}
	if opts.Policy.Measurements == nil {
		r.missing = append(r.missing, "system: the policy lists no measurements, so whatever system runs there named the app")
	}
	if r.Verdict != nil {
		r.Err = f.expected(r.Verdict)
	}
	if f.asJSON {
		err = r.writeJSON(out)
	} else {
		r.write(out)
	}
	if err == nil && r.Err != nil {
		err = errSaid // with the report
	}
	return err
}

// options follow from the flags. done ends what they hold.
func (f *verifyFlags) options() (opts ratls.VerifierOptions, done func(), err error) {
	section := &config.Attestation{}
	if f.policy != "" {
		if section, err = config.LoadAttestation(f.policy); err != nil {
			return opts, nil, err
		}
	}
	if f.collateral != "" {
		section.CollateralFile = f.collateral
	}
	if opts, err = verifierOptions(*section); err != nil {
		return opts, nil, err
	}
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return opts, nil, usageError{fmt.Errorf("--at: want a time such as 2026-03-01T00:00:00Z: %w", err)}
		}
		opts.Now = func() time.Time { return at }
	}
	if opts.Collateral != nil {
		return opts, func() {}, nil
	}
	client, err := newPCCS(*section, pccs.Options{Root: opts.Root})
	if err != nil {
		return opts, nil, err
	}
	opts.Collateral = client
	return opts, client.Close, nil
}

// expected holds --app and --instance.
func (f *verifyFlags) expected(v *ratls.Verdict) error {
	if f.app != "" && !strings.EqualFold(f.app, v.AppInfo.AppID.String()) {
		return fmt.Errorf("is app %s, want %s", v.AppInfo.AppID, f.app)
	}
	if f.instance != "" && !strings.EqualFold(f.instance, v.AppInfo.InstanceID.String()) {
		return fmt.Errorf("is instance %s, want %s", v.AppInfo.InstanceID, f.instance)
	}
	return nil
}

// verifyReport is what is printed.
type verifyReport struct {
	ratls.Report
	Subject string
	missing []string
}

func (r *verifyReport) write(w io.Writer) {
	fmt.Fprintln(w, r.Subject)
	for _, s := range r.Steps {
		mark, value := "✓", s.Value
		if s.Err != nil {
			mark, value = "✗", strings.TrimLeft(s.Value+": "+s.Err.Error(), ": ")
		}
		fmt.Fprintf(w, "%s %-30s %s\n", mark, s.Name, value)
	}
	for _, m := range r.missing {
		fmt.Fprintf(w, "– %s\n", m)
	}
	if r.Verdict == nil || r.Err != nil {
		fmt.Fprintf(w, "\nREFUSED: %v\n", r.Err)
		return
	}
	v := r.Verdict
	fmt.Fprintf(w, "\nVERIFIED: %s, good until %s\n", v.TCB.Status, v.Expires.UTC().Format(time.RFC3339))
	for _, line := range []struct{ name, value string }{
		{"app", v.AppInfo.AppID.String()},
		{"instance", v.AppInfo.InstanceID.String()},
		{"compose hash", v.AppInfo.ComposeHash.String()},
		{"OS image", v.OSImage.String()},
		{"  by its host", v.AppInfo.OSImageHash.String()},
		{"key provider", v.KeyProvider.String()},
		{"device", v.AppInfo.DeviceID.String()},
		{"advisories", strings.Join(v.TCB.Advisories, ", ")},
		{"MRTD", fmt.Sprintf("%x", v.TD.MRTD)},
		{"RTMR0", fmt.Sprintf("%x", v.TD.RTMR[0])},
		{"RTMR1", fmt.Sprintf("%x", v.TD.RTMR[1])},
		{"RTMR2", fmt.Sprintf("%x", v.TD.RTMR[2])},
		{"RTMR3", fmt.Sprintf("%x", v.TD.RTMR[3])},
	} {
		if line.value == "" {
			line.value = "none"
		}
		fmt.Fprintf(w, "  %-14s %s\n", line.name, line.value)
	}
}

func (r *verifyReport) writeJSON(w io.Writer) error {
	type step struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}
	doc := struct {
		Subject    string     `json:"subject"`
		Verified   bool       `json:"verified"`
		Error      string     `json:"error,omitempty"`
		Steps      []step     `json:"steps"`
		NotChecked []string   `json:"not_checked"`
		Status     string     `json:"tcb_status,omitempty"`
		Advisories []string   `json:"advisories,omitempty"`
		Evaluation uint32     `json:"tcb_evaluation_data_number,omitempty"`
		Expires    *time.Time `json:"expires,omitempty"`
		AppInfo    any        `json:"app_info,omitempty"`
		Registers  []string   `json:"mrtd_rtmr0_rtmr3,omitempty"`
	}{Subject: r.Subject, Verified: r.Verdict != nil && r.Err == nil, NotChecked: r.missing}
	if r.Err != nil {
		doc.Error = r.Err.Error()
	}
	for _, s := range r.Steps {
		out := step{Name: s.Name, Value: s.Value, OK: s.Err == nil}
		if s.Err != nil {
			out.Error = s.Err.Error()
		}
		doc.Steps = append(doc.Steps, out)
	}
	if v := r.Verdict; v != nil {
		doc.Status, doc.Advisories, doc.Evaluation = v.TCB.Status.String(), v.TCB.Advisories, v.TCB.EvaluationNumber
		doc.Expires, doc.AppInfo = &v.Expires, v.AppInfo
		for _, m := range append([][48]byte{v.TD.MRTD}, v.TD.RTMR[:]...) {
			doc.Registers = append(doc.Registers, fmt.Sprintf("%x", m))
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// readSubject reads a file, or standard input for "-".
func readSubject(name string, limit int64) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s: is larger than %d bytes", name, limit)
	}
	return data, err
}
