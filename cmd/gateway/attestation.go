package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/config"
	"sallyport/internal/certfile"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
	"sallyport/registry"
)

// appraiser judges hardware evidence by the section [attestation]: for guests that
// register, for instances that the gateway speaks RA-TLS with, and again and again
// for those that are registered.
type appraiser struct {
	verifier *ratls.Verifier
	pccs     *pccs.Client // nil: the collateral is from a file
	changed  func(reason string)
	log      *slog.Logger

	mu     sync.Mutex
	config config.Attestation
	allow  fs.FileInfo // of the allow file, as it was read
}

// openAttestation makes the verifier. changed is called when evidence should be
// judged again: with a new policy, or new collateral. It must not block.
func openAttestation(cfg *config.Config, changed func(reason string), log *slog.Logger) (*appraiser, error) {
	a := &appraiser{changed: changed, log: log, config: cfg.Attestation}
	opts, err := verifierOptions(cfg.Attestation)
	if err != nil {
		return nil, err
	}
	if cfg.Attestation.InsecureRootCA != "" {
		log.Warn("[attestation] insecure_root_ca is set: evidence below it is no proof of hardware")
	}
	if opts.Collateral == nil {
		a.pccs, err = newPCCS(cfg.Attestation, pccs.Options{
			Dir:      filepath.Join(cfg.Store.Path, "collateral"),
			Root:     opts.Root,
			OnChange: func(p pccs.Platform) { a.changed("collateral of " + p.String()) },
			Log:      log,
		})
		if err != nil {
			return nil, err
		}
		opts.Collateral = a.pccs
	}
	a.allow, _ = os.Stat(cfg.Attestation.AllowFile)
	a.verifier, err = ratls.NewVerifier(opts)
	return a, err
}

// newPCCS makes a client that asks the section's servers.
func newPCCS(c config.Attestation, o pccs.Options) (*pccs.Client, error) {
	for _, u := range c.PCCS {
		o.URLs = append(o.URLs, u.String())
	}
	client, err := pccs.New(o)
	if err != nil {
		return nil, fmt.Errorf("[attestation] pccs: %w", err)
	}
	return client, nil
}

// verifierOptions are all that the section says but for the servers of collateral.
func verifierOptions(c config.Attestation) (opts ratls.VerifierOptions, err error) {
	if opts.Policy, err = newPolicy(c); err != nil {
		return opts, err
	}
	if c.InsecureRootCA != "" {
		if opts.Root, err = readRoot(c.InsecureRootCA); err != nil {
			return opts, fmt.Errorf("[attestation] insecure_root_ca: %w", err)
		}
	}
	if c.CollateralFile != "" {
		fixed, err := pccs.File(c.CollateralFile, opts.Root)
		if err != nil {
			return opts, fmt.Errorf("[attestation] collateral_file: %w", err)
		}
		opts.Collateral = fixed
	}
	return opts, nil
}

func readRoot(path string) (*x509.Certificate, error) {
	data, _, err := certfile.Read(path)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	return x509.ParseCertificate(data)
}

// newPolicy reads the allow file, if there is one.
func newPolicy(c config.Attestation) (*ratls.Policy, error) {
	p := &ratls.Policy{Advisories: c.RefusedAdvisories, MaxAge: c.MaxAge}
	for _, word := range c.TCBStatuses {
		status, err := qvl.ParseStatus(word)
		if err != nil {
			return nil, fmt.Errorf("[attestation] tcb_statuses: %w", err)
		}
		p.Statuses = append(p.Statuses, status)
	}
	if c.AllowFile == "" {
		return p, nil
	}
	allow, err := config.LoadAllow(c.AllowFile)
	if err != nil {
		return nil, fmt.Errorf("[attestation] allow_file: %w", err)
	}
	for _, b := range allow.Apps {
		p.Apps = append(p.Apps, ratls.AppID(b))
	}
	for _, b := range allow.ComposeHashes {
		p.ComposeHashes = append(p.ComposeHashes, ratls.Hash(b))
	}
	for _, b := range allow.OSImages {
		p.OSImages = append(p.OSImages, ratls.Hash(b))
	}
	for _, b := range allow.KeyProviders {
		p.KeyProviders = append(p.KeyProviders, b)
	}
	for _, m := range allow.Measurements {
		p.Measurements = append(p.Measurements, ratls.Measurement{
			MRTD: register(m.MRTD), RTMR0: register(m.RTMR0), RTMR1: register(m.RTMR1), RTMR2: register(m.RTMR2),
		})
	}
	return p, nil
}

func register(b []byte) *[48]byte {
	if b == nil {
		return nil
	}
	return (*[48]byte)(bytes.Clone(b))
}

// lookAgain is how often the allow file is looked at.
const lookAgain = 5 * time.Second

// appraise judges the evidence of a registered instance: a certificate in DER.
func (a *appraiser) appraise(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error {
	leaf, err := x509.ParseCertificate(evidence)
	if err != nil {
		return err
	}
	want, ok := peer(app, id)
	if !ok {
		return fmt.Errorf("no evidence can be of app %q and instance %q: want 40 hex digits", app, id)
	}
	_, err = a.verifier.AppraisePeer(ctx, []*x509.Certificate{leaf}, want)
	if errors.Is(err, pccs.ErrUnavailable) || ctx.Err() != nil {
		return fmt.Errorf("%w: %w", registry.ErrUndecided, err)
	}
	return err
}

// attestedTLS is for connections to instances; see upstreams.
func (a *appraiser) attestedTLS(_ context.Context, app vm.AppID, id vm.InstanceID) *tls.Config {
	want, ok := peer(app, id)
	if !ok {
		return nil
	}
	return a.verifier.ClientConfig(want)
}

// peer is exactly this instance of this app. It is not ok where an id has not dstack's
// form, as that of a static instance may: no evidence is about such a one.
func peer(app vm.AppID, id vm.InstanceID) (want ratls.Peer, ok bool) {
	var errs [2]error
	want.App, errs[0] = ratls.ParseAppID(string(app))
	want.Instance, errs[1] = ratls.ParseInstanceID(string(id))
	return want, errors.Join(errs[:]...) == nil
}

// serve keeps collateral fresh and follows the allow file until ctx is done.
func (a *appraiser) serve(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	if a.pccs != nil {
		parts.Go(func() error {
			a.pccs.Run(ctx)
			a.pccs.Close()
			return nil
		})
	}
	parts.Go(func() error {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				a.follow()
			}
		}
	})
	return parts.Wait()
}

// follow reads the allow file again if it is another one than before.
func (a *appraiser) follow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.config.AllowFile == "" {
		return
	}
	now, err := os.Stat(a.config.AllowFile)
	if err == nil && a.allow != nil && os.SameFile(now, a.allow) && now.ModTime().Equal(a.allow.ModTime()) && now.Size() == a.allow.Size() {
		return
	}
	if errors.Is(err, fs.ErrNotExist) && a.allow == nil {
		return // told when it went
	}
	a.allow = now
	a.apply(a.config, "allow file changed")
}

// reload takes over a new configuration's policy. Where collateral is from, and the
// root, take a restart.
func (a *appraiser) reload(c config.Attestation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.allow, _ = os.Stat(c.AllowFile)
	a.apply(c, "configuration reloaded")
}

// apply makes c's policy the verifier's. One that cannot be read leaves the one before
// in force.
func (a *appraiser) apply(c config.Attestation, reason string) {
	policy, err := newPolicy(c)
	if err != nil {
		a.log.Error("attestation policy is not readable, the one before stays in force", "error", err)
		return
	}
	a.config = c
	a.verifier.SetPolicy(policy)
	a.log.Info("attestation policy read", "reason", reason)
	a.changed(reason)
}
