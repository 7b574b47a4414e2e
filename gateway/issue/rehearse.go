package issue

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/acme"
	"sallyport/config"
	"sallyport/internal/hello"
	"sallyport/internal/listenat"
	"sallyport/internal/oneline"
	"sallyport/registry/store"
)

// Rehearse makes a test order for each name at the staging directories, and returns how
// they went. A gateway that runs with this store rehearses itself where it has the port on
// which control is proved; else the port is opened here meanwhile.
func Rehearse(ctx context.Context, cfg *config.Config, log *slog.Logger) ([]Rehearsal, error) {
	if c := cfg.ACME.DNS; c != "" && c != config.DNSEmbedded {
		return rehearseHere(ctx, cfg, log)
	}
	var list []Rehearsal
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
	if want := Names(cfg.Domains); !slices.Equal(names, want) {
		return nil, fmt.Errorf("the running gateway has another configuration: it has certificates for %v, and the file lists %v; send it SIGHUP or restart it, then try again", names, want)
	}
	return list, nil
}

// Names returns the names of the certificates of an authority, sorted.
func Names(domains []config.Domain) (names []string) {
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

// rehearseHere rehearses without a gateway. The account at the staging directory lives as
// long as the command does.
func rehearseHere(ctx context.Context, cfg *config.Config, log *slog.Logger) (list []Rehearsal, err error) {
	dir, err := os.MkdirTemp("", "gateway-acme-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	db, err := store.OpenBolt(filepath.Join(dir, store.FileName))
	if err != nil {
		return nil, err
	}
	defer func() { err = oneline.Join(err, db.Close()) }()
	i, err := newIssuer(Options{Config: cfg, Store: db, Log: log}, nil)
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
			return nil, oneline.Join(err, parts.Wait())
		}
	}
	done, err := i.manager.Rehearse(ctx)
	stop()
	return rehearsals(done), oneline.Join(err, parts.Wait())
}

// answerChallenges answers validations alone, at the addresses for clients.
func answerChallenges(ctx context.Context, parts *errgroup.Group, c config.Proxy, challenges *acme.ALPNChallenges) error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if cert, ok := challenges.Certificate(h.ServerName); ok && slices.Equal(h.SupportedProtos, []string{hello.ACMETLS1}) {
			return acme.ALPNConfig(cert), nil
		}
		return nil, errors.New("this port answers validations only")
	}}
	listeners, err := listenat.TCPs(ctx, c.Listen)
	if err != nil {
		return fmt.Errorf("[proxy] listen, where control of the domain is proved: %w", err)
	}
	for _, l := range listeners {
		// The HTTP server makes handshakes and has limits; it serves no request.
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
