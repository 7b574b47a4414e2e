// Package appraise decides which evidence the gateway accepts: it joins the section
// [attestation] to package ratls. It asks for collateral, follows the policy, and bounds
// what instances can cost with evidence that is refused.
//
// Start at appraiser.go. policy.go reads the policy and follows it; roots.go decides which
// systems are known; limit.go bounds the work for one instance.
package appraise

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
	"sallyport/internal/follow"
	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
	"sallyport/registry"
)

// Appraiser appraises hardware evidence by the section [attestation]: of guests that
// register, of instances that the gateway speaks RA-TLS with, and again and again of
// those that are registered. Its methods may be called concurrently.
type Appraiser struct {
	verifier *ratls.Verifier
	pccs     *pccs.Client // nil: the collateral is from a file
	policies *policies
	roots    *kmsRoots // for connections to instances
	budgets  budgets   // of instances that the gateway connects to
	log      *slog.Logger
}

// Options configure an Appraiser.
type Options struct {
	Config *config.Config
	// OnChange is called when evidence should be appraised again: with a new policy, or
	// new collateral. It must not block.
	OnChange func(reason string)
	// GuestRoots returns the roots by which the guests' API knows guests, nil while there
	// is no such API.
	GuestRoots func() *x509.CertPool
	Log        *slog.Logger
}

// New makes an Appraiser. It reads the files that the configuration names. It asks no server.
func New(o Options) (*Appraiser, error) {
	section := o.Config.Attestation
	a := &Appraiser{policies: newPolicies(section, o.Log), log: o.Log}
	opts, seen, err := verifierOptions(section)
	if err != nil {
		return nil, err
	}
	if section.InsecureRootCA != "" {
		o.Log.Warn("[attestation] insecure_root_ca is set: evidence below it does not prove hardware")
	}
	if a.roots, err = newKMSRoots(o.Config.RPC, o.GuestRoots); err != nil {
		return nil, err
	}
	if opts.Collateral == nil {
		a.pccs, err = NewPCCS(section, pccs.Options{
			Dir:      filepath.Join(o.Config.Store.Path, "collateral"),
			Root:     opts.Root,
			OnChange: func(p pccs.Platform) { o.OnChange("collateral of " + p.String()) },
			Log:      o.Log,
		})
		if err != nil {
			return nil, err
		}
		opts.Collateral = a.pccs
	}
	if a.verifier, err = ratls.NewVerifier(opts); err != nil {
		return nil, err
	}
	a.policies.inForce, a.policies.seen = opts.Policy, seen
	a.policies.use = func(p *ratls.Policy, reason string) {
		a.verifier.SetPolicy(p)
		o.OnChange(reason)
	}
	return a, nil
}

// NewPCCS makes a client that asks the section's servers for collateral.
func NewPCCS(c config.Attestation, o pccs.Options) (*pccs.Client, error) {
	for _, u := range c.PCCS {
		o.URLs = append(o.URLs, u.String())
	}
	client, err := pccs.New(o)
	if err != nil {
		return nil, fmt.Errorf("[attestation] pccs: %w", err)
	}
	return client, nil
}

// VerifierOptions returns what the section says, except for the servers of collateral:
// Collateral is nil where they are to be asked (see NewPCCS). It waits up to 5 s for an
// allow file that is being written.
func VerifierOptions(c config.Attestation) (ratls.VerifierOptions, error) {
	opts, _, err := verifierOptions(c)
	return opts, err
}

// verifierOptions also returns the Sum of the allow file.
func verifierOptions(c config.Attestation) (opts ratls.VerifierOptions, allow follow.Sum, err error) {
	if opts.Policy, allow, err = firstPolicy(c); err != nil {
		return opts, allow, err
	}
	if c.InsecureRootCA != "" {
		if opts.Root, err = readRoot(c.InsecureRootCA); err != nil {
			return opts, allow, fmt.Errorf("[attestation] insecure_root_ca: %w", err)
		}
	}
	if c.CollateralFile != "" {
		fixed, err := pccs.File(c.CollateralFile, opts.Root)
		if err != nil {
			return opts, allow, fmt.Errorf("[attestation] collateral_file: %w", err)
		}
		opts.Collateral = fixed
	}
	return opts, allow, nil
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

// AppraiseInstance appraises the evidence of a registered instance: a certificate in DER.
// What needs no collateral is applied also where the rest cannot be appraised: then the
// error wraps registry.ErrUndecided.
func (a *Appraiser) AppraiseInstance(ctx context.Context, id vm.InstanceID, app vm.AppID, evidence []byte) error {
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

// RecheckInstance applies to the evidence of a registered instance what needs no collateral.
func (a *Appraiser) RecheckInstance(id vm.InstanceID, app vm.AppID, evidence []byte) error {
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

var _ ratls.Appraiser = (*Appraiser)(nil)

// Appraise implements ratls.Appraiser for guests that register. Its errors may be sent to
// them: why the evidence cannot be appraised now is logged alone, because it names servers.
func (a *Appraiser) Appraise(ctx context.Context, e ratls.Evidence) (*ratls.Verdict, error) {
	verdict, err := a.verifier.Appraise(ctx, e)
	if undecided(ctx, err) {
		a.log.Error("cannot appraise a guest's evidence; the guest is refused until its evidence can be appraised", "error", err)
		return nil, registry.ErrUndecided
	}
	return verdict, err
}

// InstanceTLS returns the TLS configuration for one connection to an instance, which
// accepts a certificate of exactly that app and instance. It returns nil where the ids
// have not dstack's form: no evidence can be about such an instance. VerifyConnection may
// fetch collateral, until ctx ends.
//
// Where the policy does not name each system that it accepts, the KMS's root must have
// issued the certificate, also where the policy changes meanwhile.
func (a *Appraiser) InstanceTLS(ctx context.Context, app vm.AppID, id vm.InstanceID) *tls.Config {
	want, ok := peer(app, id)
	if !ok {
		return nil
	}
	conf := a.verifier.ClientConfig(want)
	conf.VerifyConnection = func(state tls.ConnectionState) error {
		want := want
		if !a.verifier.Policy().NamesSystems() {
			want.Roots = a.roots.now()
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
	return want, oneline.Join(errs[:]...) == nil
}

// Run keeps collateral fresh and follows the policy until ctx is done.
func (a *Appraiser) Run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	if a.pccs != nil {
		parts.Go(func() error {
			a.pccs.Run(ctx)
			a.Close()
			return nil
		})
	}
	parts.Go(func() error {
		a.policies.follow(ctx)
		return nil
	})
	return parts.Wait()
}

// Close ends what is under way for an Appraiser that was never run; Run does so itself.
func (a *Appraiser) Close() {
	if a.pccs != nil {
		a.pccs.Close()
	}
}

// Reload takes over a new configuration's policy, soon. It does not block.
func (a *Appraiser) Reload(c config.Attestation) { a.policies.reload(c) }

// ReloadRoots reads the KMS's root again. On an error the previous one stays in force.
func (a *Appraiser) ReloadRoots() error { return a.roots.reload() }
