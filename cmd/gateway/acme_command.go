package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/acme"
	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/internal/listenat"
	"sallyport/registry/store"
)

func newACME() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "acme",
		Short: "Rehearse certificates, and pin who may issue them",
		Args:  cli.UsageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return cli.Usage(errors.New("a command is needed: test or caa"))
		},
	}
	cmd.AddCommand(newACMETest(), newACMECAA())
	for _, c := range cmd.Commands() {
		c.Args = cli.UsageArgs(c.Args)
	}
	return cmd
}

func newACMETest() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "test --config FILE",
		Short: "Get a test certificate for each domain, all the way",
		Long: `test makes a whole order for each name at the staging directory of the authority, and
throws the certificates away: what fails here would fail there, and counts nowhere. For other
authorities than Let's Encrypt and Google it needs [acme] staging.

It may be run before the first start and while the gateway runs. Where control of a domain is
proved on a port of the gateway (dns = "embedded", or wildcard = false without dns), a gateway
that runs rehearses itself, by the configuration that it has read; otherwise this command opens
the port meanwhile.

Exit code 0: the real orders can be expected to succeed. 1: one cannot.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadACME(cmd, file)
			if err != nil {
				return err
			}
			ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
			defer stop()
			log, _, flush := cli.NewLogger(cmd.ErrOrStderr(), cfg.Log)
			defer flush()
			return testACME(ctx, cmd.OutOrStdout(), cfg, log)
		},
	}
	cli.ConfigFlag(cmd, &file)
	return cmd
}

// loadACME is config.Load for commands that need a domain with acme = true.
func loadACME(cmd *cobra.Command, file string) (*config.Config, error) {
	cfg, err := cli.LoadConfig(cmd.ErrOrStderr(), file)
	if err == nil && !hasACME(cfg.Domains) {
		err = fmt.Errorf("%s: no [[domain]] has acme = true", file)
	}
	return cfg, err
}

// testACME rehearses and prints how it went.
func testACME(ctx context.Context, out io.Writer, cfg *config.Config, log *slog.Logger) error {
	list, err := rehearse(ctx, cfg, log)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	failed := false
	for _, r := range list {
		result := "ok: a test certificate was issued"
		if r.Error != "" {
			failed, result = true, "FAILED: "+r.Error
		}
		fmt.Fprintf(w, "%s\t%.1f s\t%s\n", r.Name, r.Seconds, result)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if failed {
		return cli.ErrReported
	}
	return nil
}

// rehearse asks the gateway that has the port which is needed, or does it here.
func rehearse(ctx context.Context, cfg *config.Config, log *slog.Logger) ([]rehearsed, error) {
	if c := cfg.ACME.DNS; c != "" && c != config.DNSEmbedded {
		return rehearseHere(ctx, cfg, log)
	}
	var list []rehearsed
	err := askGateway(ctx, cfg.Store.Path, http.MethodPost, "/rehearse", &list)
	if errors.Is(err, errNotRunning) {
		return rehearseHere(ctx, cfg, log)
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range list {
		names = append(names, r.Name)
	}
	if want := namesOf(cfg.Domains); !slices.Equal(names, want) {
		return nil, fmt.Errorf("the gateway that runs has another configuration: it keeps %v, and the file says %v; send it SIGHUP or restart it, then try again", names, want)
	}
	return list, nil
}

// namesOf are the names of the certificates, sorted.
func namesOf(domains []config.Domain) (names []string) {
	for _, d := range domains {
		if d.ACME && d.Wildcard {
			names = append(names, "*."+d.Name)
		}
		if d.ACME && d.IncludeApex {
			names = append(names, d.Name)
		}
	}
	slices.Sort(names)
	return names
}

// rehearseHere needs no gateway. The account at the staging directory lives as long as
// the command does.
func rehearseHere(ctx context.Context, cfg *config.Config, log *slog.Logger) (list []rehearsed, err error) {
	dir, err := os.MkdirTemp("", "gateway-acme-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	db, err := store.OpenBolt(filepath.Join(dir, storeFile))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	i, err := newIssuer(cfg, acmeStore{db}, servesNothing, nil, log)
	if err != nil {
		return nil, err
	}
	if err := i.listen(ctx); err != nil {
		return nil, err
	}
	parts, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	if i.server != nil {
		parts.Go(func() error { return i.server.Serve(ctx) })
	}
	if i.challenges != nil {
		if err := answerChallenges(ctx, parts, cfg.Proxy, i.challenges); err != nil {
			stop()
			return nil, errors.Join(err, parts.Wait())
		}
	}
	done, err := i.manager.Rehearse(ctx)
	stop()
	return rehearsals(done), errors.Join(err, parts.Wait())
}

// answerChallenges answers validations, and nobody else, where clients would be.
func answerChallenges(ctx context.Context, parts *errgroup.Group, c config.Proxy, challenges *acme.ALPNChallenges) error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if cert, ok := challenges.Certificate(h.ServerName); ok && slices.Equal(h.SupportedProtos, []string{acme.ALPNProtocol}) {
			return acme.ALPNConfig(cert), nil
		}
		return nil, errors.New("only validations are answered")
	}}
	listeners, err := listenat.TCPs(ctx, c.Listen)
	if err != nil {
		return fmt.Errorf("[proxy] listen, where control of the domain is proved: %w", err)
	}
	for _, l := range listeners {
		// Of HTTP only the handshakes and the limits are used.
		srv := &http.Server{Handler: http.NotFoundHandler(), ReadTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		parts.Go(func() error {
			if err := srv.Serve(tls.NewListener(l, conf)); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}
