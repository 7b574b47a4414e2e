// Package status is the command status: it shows what a running gateway answers on its
// [admin] address.
package status

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sallyport/admin"
	"sallyport/cmd/gateway/cli"
)

// New returns the command.
func New() *cobra.Command {
	var (
		at     string
		asJSON bool
		watch  bool
	)
	cmd := &cobra.Command{
		Use:   "status [--admin 127.0.0.1:9901] [--json] [--watch]",
		Short: "Show instances, certificates and loops of a running gateway",
		Long: `status asks a running gateway at its [admin] listen address. A handshake older than 3
minutes is stale; from [health] max_handshake_age on, the instance is down. An instance
that is refused gets no traffic because of its attestation; REASON has the details.

Exit code 1: the gateway does not answer, its tunnel is not ready, or no instance can
serve.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := cli.UntilSignal(cmd.Context(), nil)
			defer stop()
			tick := time.NewTicker(2 * time.Second)
			defer tick.Stop()
			for {
				err := show(ctx, cmd.OutOrStdout(), at, asJSON, watch)
				if !watch || ctx.Err() != nil {
					return err
				}
				if err != nil && !errors.Is(err, cli.ErrReported) {
					fmt.Fprintln(cmd.ErrOrStderr(), err)
				}
				select {
				case <-ctx.Done():
					return nil
				case <-tick.C:
				}
			}
		},
	}
	cmd.Flags().StringVar(&at, "admin", "127.0.0.1:9901", "the gateway's [admin] listen address")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the gateway's answer in JSON")
	cmd.Flags().BoolVar(&watch, "watch", false, "repeat every two seconds until Ctrl-C")
	return cmd
}

var errNoInstance = errors.New("no instance can serve")

// maxStatus bounds the answer: 65,536 instances at some 300 bytes each fit.
const maxStatus = 64 << 20

func show(ctx context.Context, out io.Writer, at string, asJSON, clear bool) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, _, err := net.SplitHostPort(at); err != nil || strings.Contains(at, "/") {
		return cli.Usage(fmt.Errorf("--admin %q: want HOST:PORT, such as 127.0.0.1:9901", at))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at+"/status", nil)
	if err != nil {
		return cli.Usage(fmt.Errorf("--admin: %w", err))
	}
	resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // one request of a short-lived command; ctx bounds it
	if err != nil {
		return fmt.Errorf("no gateway answers at %s: %w", at, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxStatus))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: is it a gateway's [admin] address?", at, resp.Status)
	}
	var s admin.Status
	if err := json.Unmarshal(body, &s); err != nil {
		return fmt.Errorf("%s: %w: is it a gateway's [admin] address?", at, err)
	}
	if clear && !asJSON {
		fmt.Fprint(out, "\033[H\033[2J")
	}
	if asJSON {
		if _, err := out.Write(body); err != nil {
			return err
		}
	} else if err := write(out, s); err != nil {
		return err
	}
	if s.TunnelFault != "" {
		return cli.ErrReported
	}
	for _, i := range s.Instances {
		if i.Weight > 0 {
			return nil
		}
	}
	return errNoInstance
}

func write(out io.Writer, s admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	state := "up " + time.Since(s.Started).Truncate(time.Second).String()
	if s.Draining {
		state += ", draining"
	}
	fmt.Fprintf(w, "gateway %s, %s; tunnel %s; key %s\n\n", s.Version, state, s.Tunnel, s.PublicKey)
	if s.TunnelFault != "" {
		fmt.Fprintf(w, "The tunnel is not ready, so no instance can be reached: %s\n\n", s.TunnelFault)
	}
	fmt.Fprintln(w, "APP\tINSTANCE\tADDRESS\tHEALTH\tHANDSHAKE\tCONNS\tREASON")
	for _, i := range s.Instances {
		handshake := "-"
		if i.Handshake != nil {
			handshake = ago(*i.Handshake)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", short(i.App), short(i.ID), i.Address, i.Health, handshake, i.Connections, i.Reason)
	}
	writeCertificates(w, s.Certificates)
	fmt.Fprintln(w, "\nLOOP\tCONNS\tPIPES\tBUSY")
	for n, l := range s.Loops {
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f %%\n", n, l.Connections, l.Pipes, 100*l.Busy/max(1e-9, time.Since(s.Started).Seconds()))
	}
	return w.Flush()
}

// writeCertificates shows of each name until when it is served, and what its issuer is
// up to.
func writeCertificates(w io.Writer, list []admin.Certificate) {
	name := func(c admin.Certificate) string { return cmp.Or(c.Name, "*."+c.Domain) }
	fmt.Fprintln(w, "\nNAME\tCERTIFICATE UNTIL\tISSUER\tNEXT TRY")
	for _, c := range list {
		until, next, issuer := "none yet", "-", cmp.Or(c.Issuer, "-")
		if !c.NotAfter.IsZero() {
			until = c.NotAfter.Format(time.DateOnly)
		}
		if !c.NextTry.IsZero() {
			next = c.NextTry.Local().Format(time.DateTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name(c), until, issuer, next)
	}
	for _, c := range list { // at full length: what to do is often at the end
		if c.LastError != "" {
			fmt.Fprintf(w, "\n%s: no new certificate (failures in a row: %d, the last at %s): %s\n", name(c), c.Failures,
				c.FailedAt.Local().Format(time.DateTime), strings.Join(strings.Fields(c.LastError), " "))
		}
	}
}

// short is the beginning of an id, enough to tell it from others at a glance.
func short(id string) string {
	const shown = 12
	if len(id) <= shown || strings.ContainsAny(id, "-.") {
		return id
	}
	return id[:shown]
}

func ago(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Truncate(time.Second).String()
}
