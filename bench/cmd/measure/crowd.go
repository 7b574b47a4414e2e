package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/bench/tunnel"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
)

// A crowd is the instances that register with the gateway of tunnel, each once, with a
// key, a certificate and a TLS connection of its own.
type crowd struct {
	ca    *ratls.Authority
	app   ratls.AppID
	roots *x509.CertPool
	url   string
}

const (
	// maxJoining bounds the registrations that are under way: more would wait, not arrive.
	maxJoining = 8
	maxCrowd   = 10_000 // registrations a second
)

// newCrowdPart is the instances that register in tunnel. It prints how many were
// registered when it is ended.
func newCrowdPart() *cobra.Command {
	return newPart("crowd", func(cmd *cobra.Command, o tunnel.Crowd) error {
		if !(o.Rate > 0 && o.Rate <= maxCrowd) {
			return usageError{fmt.Errorf("rate: want up to %d", maxCrowd)}
		}
		c, err := openCrowd(o.Dir, o.URL)
		if err != nil {
			return err
		}
		n, err := c.register(cmd.Context(), o.Rate)
		fmt.Fprintln(cmd.OutOrStdout(), n)
		return err
	})
}

// gatewayApp is the gateway's own app, by which the crowd knows it.
const gatewayApp = "6a7e111111111111111111111111111111111111"

// certifyCrowd makes an authority in dir, and of it the certificate of the gateway's
// API at host: rpc.pem and rpc.key. It returns the file of the authority's certificate.
func certifyCrowd(dir, host string) (authority string, err error) {
	app, err := ratls.ParseAppID(gatewayApp)
	if err != nil {
		return "", err
	}
	ca, err := ratls.NewAuthority()
	if err != nil {
		return "", err
	}
	if err := ca.Save(dir); err != nil {
		return "", err
	}
	server, err := ca.Issue(ratls.Request{AppID: app, Names: []string{host}, Server: true})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, ratls.RootFile), ratls.WriteFiles(server, filepath.Join(dir, "rpc.pem"), filepath.Join(dir, "rpc.key"))
}

// openCrowd reads the authority that certifyCrowd has made in dir.
func openCrowd(dir, url string) (*crowd, error) {
	app, err := ratls.ParseAppID(gatewayApp)
	if err != nil {
		return nil, err
	}
	ca, err := ratls.LoadAuthority(dir)
	if err != nil {
		return nil, err
	}
	c := &crowd{ca: ca, app: app, roots: x509.NewCertPool(), url: url}
	c.roots.AddCert(ca.Root())
	return c, nil
}

// register registers new instances, rate a second, until ctx ends. A gateway that does
// not keep up has fewer, which the number shows.
func (c *crowd) register(ctx context.Context, rate float64) (int, error) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	var n atomic.Int64
	all, joining := errgroup.WithContext(ctx)
	all.SetLimit(maxJoining)
	for {
		select {
		case <-joining.Done():
			err := all.Wait()
			return int(n.Load()), err
		case <-tick.C:
		}
		all.Go(func() error {
			err := c.registerOne(joining)
			if err == nil {
				n.Add(1)
			}
			if ctx.Err() != nil {
				return nil //nolint:nilerr // it was stopped
			}
			return err
		})
	}
}

func (c *crowd) registerOne(ctx context.Context) error {
	info := &ratls.AppInfo{AppID: c.app}
	_, _ = rand.Read(info.InstanceID[:]) // it never fails
	cert, err := c.ca.Issue(ratls.Request{AppID: c.app, AppInfo: info, Client: true})
	if err != nil {
		return err
	}
	var key vm.WGKey
	_, _ = rand.Read(key[:])
	client := rpc.Client{URL: c.url, Certificate: cert, Roots: c.roots, CheckServer: c.checkServer}
	_, err = client.Register(ctx, rpc.Registration{Key: key, Policy: vm.OpenPolicy()})
	return err
}

// checkServer returns an error unless leaf is the gateway's.
func (c *crowd) checkServer(leaf *x509.Certificate) error { return ratls.CheckApp(leaf, c.app) }
