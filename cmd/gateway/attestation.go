package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"sallyport/config"
	"sallyport/internal/certfile"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
	"sallyport/registry"
)

// appraiser judges hardware evidence by the section [attestation]: for guests that
// register, for instances that the gateway speaks RA-TLS with, and again and again
// for those that are registered.
type appraiser struct {
	verifier verifier
	pccs     *pccs.Client // nil: the collateral is from a file
	policies *policies
	roots    func() *x509.CertPool // the KMS's; for connections to instances
	budgets  budgets               // of instances that the gateway connects to
}

// openAttestation makes the verifier. changed is called when evidence should be
// judged again: with a new policy, or new collateral. It must not block.
func openAttestation(cfg *config.Config, changed func(reason string), log *slog.Logger) (*appraiser, error) {
	a := &appraiser{policies: newPolicies(cfg.Attestation, log)}
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
			OnChange: func(p pccs.Platform) { changed("collateral of " + p.String()) },
			Log:      log,
		})
		if err != nil {
			return nil, err
		}
		opts.Collateral = a.pccs
	}
	judge, err := ratls.NewVerifier(opts)
	if err != nil {
		return nil, err
	}
	a.verifier = verifier{judge, log}
	a.policies.inForce = opts.Policy
	a.policies.use = func(p *ratls.Policy, reason string) {
		judge.SetPolicy(p)
		changed(reason)
	}
	return a, nil
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
	if opts.Policy, err = newWholePolicy(c); err != nil {
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

// appraise judges the evidence of a registered instance: a certificate in DER. What needs
// no collateral is applied also where the rest cannot be judged.
func (a *appraiser) appraise(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error {
	leaf, want, err := registered(id, app, evidence)
	if err != nil {
		return err
	}
	_, err = a.verifier.AppraisePeer(ctx, leaf, want)
	if undecided(ctx, err) {
		if refused := a.verifier.RecheckPeer(leaf, want); refused != nil {
			return refused
		}
		return fmt.Errorf("%w: %w", registry.ErrUndecided, err)
	}
	return err
}

// recheck applies to the evidence of a registered instance what needs no collateral.
func (a *appraiser) recheck(id vm.InstanceID, app vm.AppID, evidence []byte) error {
	leaf, want, err := registered(id, app, evidence)
	if err != nil {
		return err
	}
	return a.verifier.RecheckPeer(leaf, want)
}

// registered is what an instance has registered with, and who that must prove to be. The
// authority has judged its system: the certificate's chain was verified when it registered.
func registered(id vm.InstanceID, app vm.AppID, evidence []byte) (chain []*x509.Certificate, want ratls.Peer, err error) {
	leaf, err := x509.ParseCertificate(evidence)
	if err != nil {
		return nil, want, err
	}
	want, ok := peer(app, id)
	if !ok {
		return nil, want, fmt.Errorf("no evidence can be of app %q and instance %q: want 40 hex digits", app, id)
	}
	want.AnySystem = true
	return []*x509.Certificate{leaf}, want, nil
}

// undecided reports whether err says nothing about the evidence.
func undecided(ctx context.Context, err error) bool {
	return err != nil && (errors.Is(err, pccs.ErrUnavailable) || ctx.Err() != nil)
}

// verifier is one whose errors may be told to guests.
type verifier struct {
	*ratls.Verifier
	log *slog.Logger
}

// Appraise implements ratls.Appraiser for guests that register. Why nobody could judge
// is for the log: it names servers, which are the operator's business.
func (v verifier) Appraise(ctx context.Context, e ratls.Evidence) (*ratls.Verdict, error) {
	verdict, err := v.Verifier.Appraise(ctx, e)
	if undecided(ctx, err) {
		v.log.Error("a guest's evidence cannot be judged: it is refused until it can", "error", err)
		return nil, registry.ErrUndecided
	}
	return verdict, err
}

// attestedTLS is for connections to instances; see upstreams. Where the policy does not
// name each system that it accepts, the KMS's root must have issued the certificate: a
// policy that changes meanwhile lets nobody in without either.
func (a *appraiser) attestedTLS(ctx context.Context, app vm.AppID, id vm.InstanceID) *tls.Config {
	want, ok := peer(app, id)
	if !ok {
		return nil
	}
	conf := a.verifier.ClientConfig(want)
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		want := want
		if !a.verifier.Policy().NamesSystems() {
			want.Roots = a.roots()
		}
		return a.budgets.judge(ctx, id, state.PeerCertificates, func() error {
			_, err := a.verifier.AppraisePeer(ctx, state.PeerCertificates, want)
			return err
		})
	}
	return conf
}

// peer is exactly this instance of this app. It is not ok where an id has not dstack's
// form, as that of a static instance may: no evidence is about such a one.
func peer(app vm.AppID, id vm.InstanceID) (want ratls.Peer, ok bool) {
	var errs [2]error
	want.App, errs[0] = ratls.ParseAppID(string(app))
	want.Instance, errs[1] = ratls.ParseInstanceID(string(id))
	return want, errors.Join(errs[:]...) == nil
}

// serve keeps collateral fresh and follows the policy until ctx is done.
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
		a.policies.follow(ctx)
		return nil
	})
	return parts.Wait()
}

// reload takes over a new configuration's policy, soon. It does not block.
func (a *appraiser) reload(c config.Attestation) { a.policies.reload(c) }
