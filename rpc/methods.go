package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"

	"google.golang.org/protobuf/proto"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
)

// method is one entry of the API.
type method struct {
	authenticated bool  // only with a client certificate
	maxBody       int64 // in bytes
	request       func() proto.Message
	call          func(ctx context.Context, c call, in proto.Message) (proto.Message, error)
}

// call is what a method knows about the connection.
type call struct {
	conn   *tls.ConnectionState
	leaf   *x509.Certificate // of the caller, if the method is authenticated
	source string            // address and port, for the log
}

// maxNothing is the largest body of a method that takes none: null, {}, or white space.
const maxNothing = 4 << 10

func (s *Server) table() map[string]method {
	return map[string]method{
		"RegisterCvm": {true, maxRegistration, newRequest[gatewaypb.RegisterCvmRequest], func(ctx context.Context, c call, in proto.Message) (proto.Message, error) {
			return s.registerCvm(ctx, c, in.(*gatewaypb.RegisterCvmRequest))
		}},
		"Info": {false, maxNothing, newRequest[gatewaypb.Empty], s.info},
		"AcmeInfo": {false, maxNothing, newRequest[gatewaypb.AcmeInfoRequest], func(_ context.Context, _ call, in proto.Message) (proto.Message, error) {
			return s.acme.call(in.(*gatewaypb.AcmeInfoRequest))
		}},
		"GetPeers": {true, maxNothing, newRequest[gatewaypb.Empty], s.getPeers},
	}
}

// newRequest makes an empty message of type T.
func newRequest[T any, P interface {
	*T
	proto.Message
}]() proto.Message {
	return P(new(T))
}

func (s *Server) info(context.Context, call, proto.Message) (proto.Message, error) {
	p := s.o.Public
	return &gatewaypb.InfoResponse{
		BaseDomain: p.Domain, ExternalPort: uint32(p.Port), AppAddressNsPrefix: p.TXTPrefix, Version: s.o.Version,
	}, nil
}

// getPeers is for the gateways of one cluster: they run the same app. The caller is
// identified as for a registration: the app id in a certificate alone is a claim of the
// authority that signed it, which may be that of another app.
func (s *Server) getPeers(ctx context.Context, c call, _ proto.Message) (proto.Message, error) {
	caller, err := s.o.Identify(ctx, c.conn)
	if err != nil {
		return nil, err
	}
	if !s.isOwnApp(caller.App) {
		return nil, &statusError{http.StatusBadRequest, "Remote app id is not from dstack-gateway"} // the reference's words
	}
	out := &gatewaypb.GetPeersResponse{}
	for i, n := range s.o.Nodes() {
		if i == 0 {
			out.MyId, out.MyUrl = n.ID, n.URL
			continue
		}
		out.Peers = append(out.Peers, &gatewaypb.PeerInfo{Id: n.ID, Url: n.URL})
	}
	return out, nil
}

// isOwnApp reports whether this gateway's certificate names app. A gateway whose
// certificate names none has no peers.
func (s *Server) isOwnApp(app vm.AppID) bool {
	if s.o.AppOf == nil || app == "" {
		return false
	}
	own, err := s.o.AppOf(s.o.Identity.Leaf())
	return err == nil && own == app
}
