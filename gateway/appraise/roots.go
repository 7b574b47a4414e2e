package appraise

import (
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"

	"sallyport/config"
	"sallyport/rpc"
)

// The system in an instance that the gateway speaks RA-TLS with is known by the measurements
// of the policy, or by the KMS, which checked the system before it issued the certificate.
// Genuine hardware alone proves nothing about the app: any system can measure any ids.

// ErrUnknownSystems is returned where upstream_ratls lists apps and no instance's system
// would be known.
var ErrUnknownSystems = errors.New("[proxy] upstream_ratls: the system in an instance would be unknown, and any system can claim to be any app: " +
	"set [rpc] client_ca to the KMS's root, or list each system by mrtd, rtmr1 and rtmr2 as [[measurement]] in [attestation] allow_file")

// kmsRoots are the roots that guests are known by: those of the guests' API if there is
// one, which follows its files, else those of [rpc] client_ca.
type kmsRoots struct {
	section config.RPC
	api     func() *x509.CertPool // see Options.GuestRoots
	read    atomic.Pointer[x509.CertPool]
}

func newKMSRoots(section config.RPC, api func() *x509.CertPool) (*kmsRoots, error) {
	k := &kmsRoots{section: section, api: api}
	return k, k.reload()
}

// reload reads client_ca again where the guests' API does not. On an error the previous
// roots stay in use.
func (k *kmsRoots) reload() error {
	if k.section.Listen.IsValid() || k.section.ClientCA == "" {
		return nil
	}
	roots, err := rpc.ReadRoots(k.section.ClientCA)
	if err != nil {
		return fmt.Errorf("[rpc] client_ca: %w", err)
	}
	k.read.Store(roots)
	return nil
}

// now returns the roots in force; nil: there are none.
func (k *kmsRoots) now() *x509.CertPool {
	if roots := k.api(); roots != nil {
		return roots
	}
	return k.read.Load()
}

// KnowsSystems returns why no instance's system would be known by the section, or nil. The
// rest of the configuration is the one of New.
func (a *Appraiser) KnowsSystems(section config.Attestation) error {
	return a.roots.knowSystems(section)
}

func (k *kmsRoots) knowSystems(section config.Attestation) error {
	if k.section.ClientCA != "" || k.section.DstackAgent != "" && k.section.Listen.IsValid() {
		return nil
	}
	policy, _, err := firstPolicy(section)
	if err == nil && !policy.NamesSystems() {
		err = ErrUnknownSystems
	}
	return err
}

// Check returns why New would refuse the files of [attestation], or why [proxy] upstream_ratls
// could not be served, or nil.
func Check(cfg *config.Config) error {
	if _, err := VerifierOptions(cfg.Attestation); err != nil {
		return err
	}
	k, err := newKMSRoots(cfg.RPC, func() *x509.CertPool { return nil })
	if err != nil || cfg.Proxy.UpstreamRATLS.IsZero() {
		return err
	}
	return k.knowSystems(cfg.Attestation)
}
