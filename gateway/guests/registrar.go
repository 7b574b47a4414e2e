package guests

import (
	"context"
	"errors"
	"log/slog"

	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/registry/record"
	"sallyport/rpc"
)

// registrar makes requests of guests requests of the registry.
type registrar struct {
	*registry.Registry
	log *slog.Logger
}

func (r registrar) Register(ctx context.Context, c rpc.Caller, in rpc.Registration) (rpc.Grant, error) {
	q := registry.Request{App: c.App, Instance: c.Instance, Compose: c.Compose, Key: in.Key}
	if in.Policy.State() != vm.PolicyUnknown {
		q.Policy = &in.Policy
	}
	if known, ok := c.Info.(proof); ok {
		q.Facts, q.Evidence, q.Proof = facts(known.info), known.evidence, known.chain
	}
	grant, err := r.Registry.Register(ctx, q)
	if errors.Is(err, registry.ErrNoEvidence) {
		return rpc.Grant{}, rpc.ErrNoAttestation
	}
	for _, ours := range []error{registry.ErrStore, registry.ErrPeer, registry.ErrUndecided, registry.ErrAuthorizer} {
		if errors.Is(err, ours) {
			// What it wraps names files, devices and servers: the operator's business, not the guest's.
			r.log.Error("registration failed", "instance", string(c.Instance), "app", string(c.App), "error", err)
			return rpc.Grant{}, ours
		}
	}
	return rpc.Grant{Address: grant.Spec.Addr}, err
}

// facts returns what the webhook gets besides the ids.
func facts(info ratls.AppInfo) registry.Facts {
	f := registry.Facts{
		DeviceID: info.DeviceID[:], MRSystem: info.MRSystem[:], MRAggregated: info.MRAggregated[:],
		OSImageHash: info.OSImageHash[:], KeyProviderInfo: []byte(info.KeyProviderInfo),
	}
	if info.InitScriptHashes != nil {
		f.InitScriptHashes = []record.Hex{}
	}
	for _, h := range info.InitScriptHashes {
		f.InitScriptHashes = append(f.InitScriptHashes, h[:])
	}
	return f
}
