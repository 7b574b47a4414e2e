package tunnel

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"sallyport/bench/netns"
	"sallyport/bench/peers"
	"sallyport/bench/trial"
	"sallyport/internal/oneline"
)

// The addresses of the site. Nobody else is in these namespaces, so they are fixed.
const (
	gatewayWire   = "192.0.2.1" // RFC 5737: for examples
	cvmWire       = "192.0.2.2"
	gatewayTunnel = "10.8.0.1/16"
	cvmTunnel     = "10.8.0.2"
	wirePort      = 51820
	cvmPort       = 9000
	clientsAt     = "127.0.0.1:8443"
	guestsAt      = "127.0.0.1:8444"
	appName       = "app-9000s.gw.test"
)

// A CVM is the options of the part "cvm".
type CVM struct {
	KeyFile  string         // its private key, base64
	Gateway  string         // the gateway's public key, base64
	Endpoint netip.AddrPort // where the gateway's tunnel listens
	Address  netip.Prefix   // its own in the tunnel, with the network
	Listen   netip.AddrPort // of its server, on Address
}

// A Crowd is the options of the part "crowd".
type Crowd struct {
	Dir  string // of the authority
	URL  string // of the gateway's API
	Rate float64
}

// site is gateway and CVM.
type site struct {
	opts         *Options
	dir          string
	edge, inside *netns.Namespace // of the gateway and its clients; of the CVM
	gateway, cvm *peers.Process
}

func (s *site) open(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "gateway-bench-"); err != nil {
		return err
	}
	if s.edge, err = netns.New(ctx); err != nil {
		return err
	}
	if s.inside, err = netns.New(ctx); err != nil {
		return err
	}
	err = netns.Wire(ctx, netns.End{In: s.edge, Link: "cvm", Address: gatewayWire + "/24"}, netns.End{In: s.inside, Link: "edge", Address: cvmWire + "/24"})
	if err != nil {
		return err
	}
	own, err := s.newKey("gateway.key")
	if err != nil {
		return err
	}
	guest, err := s.newKey("cvm.key")
	if err != nil {
		return err
	}
	if err := s.startGateway(guest); err != nil {
		return err
	}
	return s.startCVM(own)
}

// newKey writes a private key and returns the public one.
func (s *site) newKey(name string) (string, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	text := base64.StdEncoding.EncodeToString
	return text(key.PublicKey().Bytes()), os.WriteFile(filepath.Join(s.dir, name), []byte(text(key.Bytes())+"\n"), 0o600)
}

func (s *site) startGateway(guest string) error {
	certificate := &peers.Site{Dir: s.dir}
	if err := certificate.Certify("gw.test"); err != nil {
		return err
	}
	pki := filepath.Join(s.dir, "pki")
	authority, err := s.opts.Certify(pki, "127.0.0.1")
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "gateway.toml")
	config := fmt.Sprintf(`[[domain]]
name = "gw.test"
cert = %q
key = %q
[proxy]
listen = [%q]
loops = 1
max_connections_per_app = 0
[wireguard]
mode = "userspace"
private_key_file = %q
listen_port = %d
endpoint = "%s:%d"
address = %q
[rpc]
listen = %q
cert = %q
key = %q
client_ca = %q
[store]
path = %q
[[instance]]
app_id = "app"
public_key = %q
address = %q
`, certificate.Certificate, certificate.Key, clientsAt, filepath.Join(s.dir, "gateway.key"), wirePort, gatewayWire, wirePort, gatewayTunnel,
		guestsAt, filepath.Join(pki, "rpc.pem"), filepath.Join(pki, "rpc.key"), authority,
		filepath.Join(s.dir, "store"), guest, cvmTunnel)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	return s.edge.Do(func() (err error) {
		s.gateway, err = peers.Launch(s.opts.ProxyCPU, s.opts.Gateway, "run", "--config", file)
		return err
	})
}

func (s *site) startCVM(gateway string) error {
	args, err := trial.Part("cvm", CVM{
		KeyFile: filepath.Join(s.dir, "cvm.key"), Gateway: gateway,
		Endpoint: netip.AddrPortFrom(netip.MustParseAddr(gatewayWire), wirePort),
		Address:  netip.MustParsePrefix(cvmTunnel + "/16"), Listen: netip.AddrPortFrom(netip.MustParseAddr(cvmTunnel), cvmPort),
	})
	if err != nil {
		return err
	}
	return s.inside.Do(func() (err error) {
		s.cvm, err = peers.Launch(s.opts.LoadCPU, s.opts.Self, args...)
		return err
	})
}

// startCrowd starts instances that register until they are stopped.
func (s *site) startCrowd(rate float64) (crowd *peers.Process, err error) {
	args, err := trial.Part("crowd", Crowd{Dir: filepath.Join(s.dir, "pki"), URL: "https://" + guestsAt, Rate: rate})
	if err != nil {
		return nil, err
	}
	err = s.edge.Do(func() error {
		crowd, err = peers.Launch(s.opts.LoadCPU, s.opts.Self, args...)
		return err
	})
	return crowd, err
}

// ready waits until a request goes through the gateway and its tunnel.
func (s *site) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no request goes through the tunnel"))
	defer cancel()
	for {
		_, err := s.load(ctx, probe())
		if err == nil {
			return nil
		}
		t := time.NewTimer(200 * time.Millisecond)
		select {
		case <-s.gateway.Ended():
			err = fmt.Errorf("the gateway has ended: %s", s.gateway.Output())
		case <-s.cvm.Ended():
			err = fmt.Errorf("the CVM has ended: %s", s.cvm.Output())
		case <-ctx.Done():
			err = fmt.Errorf("%w: %w; the gateway says: %s; the CVM says: %s", context.Cause(ctx), err, s.gateway.Output(), s.cvm.Output())
		case <-t.C:
			continue
		}
		t.Stop()
		return err
	}
}

func (s *site) close() error {
	var errs []error
	for _, p := range []*peers.Process{s.cvm, s.gateway} {
		if p != nil && p.PID != 0 {
			errs = append(errs, p.Stop())
		}
	}
	return oneline.Join(append(errs, s.edge.Close(), s.inside.Close(), os.RemoveAll(s.dir))...)
}
