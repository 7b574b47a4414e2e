package rpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// maxRegistration is the largest RegisterCvm body in bytes: vm.MaxPortRules rules
// take 110 kB in JSON as guests write it, and twice that when indented.
const maxRegistration = 256 << 10

// registerCvm: check the form → identify the caller → register → answer.
func (s *Server) registerCvm(ctx context.Context, c call, in *gatewaypb.RegisterCvmRequest) (*gatewaypb.RegisterCvmResponse, error) {
	r, err := parseRegistration(in)
	if err != nil {
		return nil, s.refused(c, Caller{}, err)
	}
	caller, err := s.identify(ctx, c)
	if err != nil {
		return nil, s.refused(c, caller, err)
	}
	grant, err := s.o.Registrar.Register(ctx, caller, r)
	if err != nil {
		return nil, s.refused(c, caller, err)
	}
	return s.registered(grant), nil
}

func (s *Server) identify(ctx context.Context, c call) (Caller, error) {
	caller, err := s.o.Identify(ctx, c.conn)
	switch {
	case err != nil:
		return Caller{}, err
	case caller.App == "":
		return caller, errors.New("the certificate's app id is empty")
	case caller.Instance == "":
		return caller, errors.New("the certificate's instance id is empty: an app with no_instance_id cannot register")
	}
	return caller, nil
}

// refused logs for the operator the answer that the guest gets: the guest's own log is
// inside its CVM. Callers that get this far have a certificate of the authority.
func (s *Server) refused(c call, caller Caller, err error) error {
	if errors.Is(err, ErrNoAttestation) {
		return err // the guest comes back with its quoted certificate
	}
	s.o.Log.Warn("registration refused", "app_id", string(caller.App), "instance_id", string(caller.Instance),
		"subject", c.leaf.Subject.CommonName, "source", c.source, "error", err)
	return err
}

func parseRegistration(in *gatewaypb.RegisterCvmRequest) (r Registration, err error) {
	if r.Key, err = parseKey(in.GetClientPublicKey()); err != nil {
		return Registration{}, wrap("client_public_key", err)
	}
	if in.GetPortPolicy() == nil {
		return r, nil
	}
	if r.Policy, err = parsePolicy(in.GetPortPolicy()); err != nil {
		return Registration{}, wrap("port_policy", err)
	}
	return r, nil
}

func parseKey(s string) (vm.WGKey, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return vm.WGKey{}, errors.New("invalid base64: want the standard alphabet with padding, as `wg pubkey` prints")
	}
	if len(raw) != len(vm.WGKey{}) {
		return vm.WGKey{}, fmt.Errorf("has %d bytes: want exactly %d", len(raw), len(vm.WGKey{}))
	}
	return vm.ParseWGKey(s)
}

func parsePolicy(in *gatewaypb.PortPolicy) (vm.PortPolicy, error) {
	if n := len(in.GetPorts()); n > vm.MaxPortRules {
		return vm.PortPolicy{}, fmt.Errorf("lists %d ports, the limit is %d", n, vm.MaxPortRules)
	}
	rules := make([]vm.PortRule, len(in.GetPorts()))
	for i, p := range in.GetPorts() {
		if p.GetPort() < 1 || p.GetPort() > 65535 {
			return vm.PortPolicy{}, fmt.Errorf("port %d: want 1 to 65535", p.GetPort())
		}
		rules[i] = vm.PortRule{Port: uint16(p.GetPort()), Proxy: p.GetPp()}
	}
	return vm.NewPortPolicy(in.GetRestrictMode(), rules)
}

// registered is the answer. The part that becomes the guest's WireGuard
// configuration, wg, must be the same every time while nothing has changed, or
// the guest sets up its tunnel again.
func (s *Server) registered(g Grant) *gatewaypb.RegisterCvmResponse {
	p := s.o.Public
	out := &gatewaypb.RegisterCvmResponse{
		Wg: &gatewaypb.WireGuardConfig{ClientIp: g.Address.String()},
		Agent: &gatewaypb.GuestAgentConfig{
			ExternalPort: uint32(p.Port), InternalPort: uint32(p.AgentPort), Domain: p.Domain, AppAddressNsPrefix: p.TXTPrefix,
		},
	}
	for _, n := range s.o.Nodes() {
		key, ip := n.Key.String(), n.Address.String()
		out.Wg.Servers = append(out.Wg.Servers, &gatewaypb.WireGuardPeer{Pk: key, Ip: ip, Endpoint: n.Endpoint})
		out.Gateways = append(out.Gateways, &gatewaypb.GatewayNodeInfo{
			Id: n.ID, Uuid: n.UUID, Url: n.URL, LastSeen: seconds(n.LastSeen),
			WgPublicKey: key, WgIp: ip, WgEndpoint: n.Endpoint,
		})
	}
	return out
}

// seconds is t in Unix time, 0 for a time that is not set.
func seconds(t time.Time) uint64 { return uint64(max(0, t.Unix())) }
