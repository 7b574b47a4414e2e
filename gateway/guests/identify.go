package guests

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/rpc"
)

// identifier identifies a guest by its certificate.
type identifier struct{ ratls.Options }

func (i identifier) identify(ctx context.Context, state *tls.ConnectionState) (rpc.Caller, error) {
	if len(state.VerifiedChains) == 0 {
		return rpc.Caller{}, errors.New("client authentication is required")
	}
	chain := state.VerifiedChains[0]
	id, err := ratls.Identify(ctx, chain, i.Options)
	if errors.Is(err, ratls.ErrNoAttestation) {
		return rpc.Caller{}, rpc.ErrNoAttestation
	}
	if err != nil {
		return rpc.Caller{}, err
	}
	who := proof{info: id.AppInfo, chain: proofOf(chain)}
	if id.HasQuote {
		who.evidence = chain[0].Raw
	}
	return rpc.Caller{
		App:      vm.AppID(id.AppID.String()),
		Instance: vm.InstanceID(id.InstanceID.String()),
		Compose:  vm.ComposeHash(id.ComposeHash),
		Info:     who,
	}, nil
}

// proof is what a caller's certificate proves besides its ids.
type proof struct {
	info     ratls.AppInfo
	chain    registry.Proof
	evidence []byte // its certificate, if there is hardware evidence in it
}

// proofOf returns what the registry keeps of a verified chain, from leaf to root.
func proofOf(chain []*x509.Certificate) registry.Proof {
	p := registry.Proof{Root: sha256.Sum256(chain[len(chain)-1].Raw), Until: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotAfter.Before(p.Until) {
			p.Until = c.NotAfter
		}
	}
	return p
}

func appOf(leaf *x509.Certificate) (vm.AppID, error) {
	ext, err := ratls.ParseExtensions(leaf.Extensions)
	return vm.AppID(ext.AppID.String()), err
}
