package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/cmd/gateway/cli"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
)

// A crowd is machines that register with the gateway of bench tunnel, each once, with a
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

// newBenchCrowd is the process that bench tunnel starts as its crowd. It prints how many
// were registered when it is ended.
func newBenchCrowd() *cobra.Command {
	var (
		dir, url string
		rate     float64
	)
	cmd := &cobra.Command{
		Use: "crowd", Short: "Be the machines that register in bench tunnel", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !(rate > 0 && rate <= maxCrowd) {
				return cli.Usage(errors.New("rate: want up to 10000"))
			}
			ctx, stop := cli.UntilSignal(cmd.Context(), func() {})
			defer stop()
			c, err := openCrowd(dir, url)
			if err != nil {
				return err
			}
			n, err := c.register(ctx, rate)
			fmt.Fprintln(cmd.OutOrStdout(), n)
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the authority")
	cmd.Flags().StringVar(&url, "url", "", "the gateway's API")
	cmd.Flags().Float64Var(&rate, "rate", 0, "registrations a second")
	return cmd
}

// benchGatewayApp is the gateway's own app, by which the crowd knows it.
const benchGatewayApp = "6a7e111111111111111111111111111111111111"

// certifyCrowd makes an authority in dir, and of it the certificate of the gateway's
// API at host: rpc.pem and rpc.key.
func certifyCrowd(dir, host string) (authority string, err error) {
	app, err := ratls.ParseAppID(benchGatewayApp)
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
	cert, err := ca.Issue(ratls.Request{AppID: app, Names: []string{host}, Server: true})
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, ratls.RootFile), ratls.WriteFiles(cert, filepath.Join(dir, "rpc.pem"), filepath.Join(dir, "rpc.key"))
}

func openCrowd(dir, url string) (c *crowd, err error) {
	c = &crowd{roots: x509.NewCertPool(), url: url}
	if c.app, err = ratls.ParseAppID(benchGatewayApp); err != nil {
		return nil, err
	}
	if c.ca, err = ratls.LoadAuthority(dir); err != nil {
		return nil, err
	}
	c.roots.AddCert(c.ca.Root())
	return c, nil
}

// register registers new machines, rate a second, until ctx ends. A gateway that does
// not keep up has fewer, which the number tells.
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
	_, _ = rand.Read(key[:]) // it never fails
	client := rpc.Client{URL: c.url, Certificate: cert, Roots: c.roots, CheckServer: joinFlags{}.checkServer}
	_, err = client.Register(ctx, rpc.Registration{Key: key, Policy: vm.OpenPolicy()})
	return err
}
