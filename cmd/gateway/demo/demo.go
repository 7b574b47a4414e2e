// Package demo is the command demo: a gateway and two CVMs in one process, joined by
// real tunnels, and what to try with them.
//
//	demo.go  the command, and what it prints
//	cvm.go   a CVM: a guest, and the servers of an app
//	ca.go    the certificates that clients see
package demo

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/ratls"
)

// The demo's world: one domain, one app, two CVMs that run it.
const (
	baseDomain = "gw.localhost"
	appID      = "deadbeef111111111111111111111111deadbeef"

	gatewayAppID = "6a7e111111111111111111111111111111111111" // the gateway's own app id
)

// New returns the command.
func New() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo [--listen 127.0.0.1:8443]",
		Short: "Run a gateway and two CVMs in one process",
		Long: `demo runs a gateway and two CVMs of a demo app in one process, connected by real
WireGuard tunnels that need no root, and prints commands that reach them. The CVMs
register themselves as confidential VMs do, but without attestation. The demo writes to a
directory of its own, which it removes at the end, and sends nothing outside this machine.
Ctrl-C ends it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := netip.ParseAddrPort(listen)
			if err != nil {
				return cli.Usage(fmt.Errorf("--listen %q: want IP:port", listen))
			}
			return demonstrate(cmd.Context(), at, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8443", "address for clients")
	return cmd
}

// demonstrate runs the demo until a signal.
func demonstrate(ctx context.Context, listen netip.AddrPort, out, logs io.Writer) error {
	dir, err := os.MkdirTemp("", "gateway-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demonstration{dir: dir, out: out}
	var flush func()
	d.log, _, flush = cli.NewLogger(logs, config.Log{Level: slog.LevelWarn})
	defer flush()
	if err := d.prepare(listen); err != nil {
		return err
	}
	defer cli.TuneRuntime(0)()
	if d.gateway, err = gateway.New(ctx, d.config, d.log); err != nil {
		return err
	}
	ctx, stop := cli.UntilSignal(ctx, func() {
		cli.EndSoon(d.log)
		d.gateway.Abort()
	})
	defer stop()
	return d.run(ctx)
}

// demonstration is one run of the demo.
type demonstration struct {
	dir     string
	out     io.Writer
	log     *slog.Logger
	ca      *authority       // of the certificates that clients see
	kms     *ratls.Authority // of those by which CVMs and gateway know each other
	cvms    []*cvm
	config  *config.Config
	gateway *gateway.Gateway
}

// prepare writes what an operator would: certificates and a configuration.
func (d *demonstration) prepare(listen netip.AddrPort) (err error) {
	if d.ca, err = newAuthority(); err != nil {
		return err
	}
	if err := d.ca.writeTo(d.path("ca.pem")); err != nil {
		return err
	}
	if err := d.ca.issue(d.path("fullchain.pem"), d.path("key.pem"), "*."+baseDomain); err != nil {
		return err
	}
	if err := d.prepareKMS(); err != nil {
		return err
	}
	for i := range 2 {
		m, err := newCVM(i, d.ca, d.kms)
		if err != nil {
			return err
		}
		d.cvms = append(d.cvms, m)
	}
	port, err := freeUDPPort()
	if err != nil {
		return err
	}
	var text strings.Builder
	err = configText.Execute(&text, map[string]any{
		"Domain": baseDomain, "Dir": d.dir, "Listen": listen, "Port": port,
	})
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("gateway.toml"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	d.config, err = config.Load(d.path("gateway.toml"))
	return err
}

func (d *demonstration) path(name string) string { return filepath.Join(d.dir, name) }

var configText = template.Must(template.New("").Parse(`
[[domain]]
name = "{{.Domain}}"
cert = "{{.Dir}}/fullchain.pem"
key = "{{.Dir}}/key.pem"

[proxy]
listen = ["{{.Listen}}"]
[proxy.timeouts]
drain = "1s"

[wireguard]
mode = "netstack"
listen_port = {{.Port}}
endpoint = "127.0.0.1:{{.Port}}"

[rpc]
listen = "127.0.0.1:0"
cert = "{{.Dir}}/rpc.pem"
key = "{{.Dir}}/rpc.key"
client_ca = "{{.Dir}}/kms.pem"

[store]
path = "{{.Dir}}"
[admin]
listen = "127.0.0.1:0"
`))

// prepareKMS makes the authority that stands for dstack's KMS, and the certificate
// by which CVMs know the gateway.
func (d *demonstration) prepareKMS() (err error) {
	if d.kms, err = ratls.NewAuthority(); err != nil {
		return err
	}
	root, _, err := d.kms.EncodePEM()
	if err != nil {
		return err
	}
	id, err := ratls.ParseAppID(gatewayAppID)
	if err != nil {
		return err
	}
	cert, err := d.kms.Issue(ratls.Request{AppID: id, Subject: "gateway demo", Names: []string{"127.0.0.1"}, Server: true})
	if err != nil {
		return err
	}
	if err := os.WriteFile(d.path("kms.pem"), root, 0o600); err != nil {
		return err
	}
	return ratls.WriteFiles(cert, d.path("rpc.pem"), d.path("rpc.key"))
}

// freeUDPPort returns a port that is free now. The configuration has to name it before
// the gateway can take it.
func freeUDPPort() (int, error) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		return 0, err
	}
	return c.LocalAddr().(*net.UDPAddr).Port, c.Close()
}

// run serves until ctx is done: the gateway, the CVMs, and the text that says what to try.
func (d *demonstration) run(ctx context.Context) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return d.gateway.Run(ctx) })
	url := "https://" + d.gateway.Addresses().Guests.String()
	for _, m := range d.cvms {
		parts.Go(func() error { return m.run(ctx, url, d.kms.Root(), d.log) })
	}
	parts.Go(func() error {
		if !d.waitReady(ctx) {
			return nil
		}
		return d.printHelp()
	})
	return parts.Wait()
}

// waitReady waits until every CVM's tunnel is up.
func (d *demonstration) waitReady(ctx context.Context) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ready := 0
		for _, i := range d.gateway.Status().Instances {
			if i.Weight > 0 {
				ready++
			}
		}
		if ready == len(d.cvms) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// printHelp prints what to try.
func (d *demonstration) printHelp() error {
	at := d.gateway.Addresses().Clients[0]
	return helpText.Execute(d.out, map[string]any{
		"At": at, "Dir": d.dir, "App": appID, "Domain": baseDomain, "CVMs": d.cvms,
		"Curl":  fmt.Sprintf("curl --cacert %s --connect-to ::%s", d.path("ca.pem"), at),
		"Admin": d.gateway.Addresses().Operators,
	})
}

var helpText = template.Must(template.New("").Parse(`
A gateway listens on {{.At}} for *.{{.Domain}}. Two CVMs run the app
{{.App}} behind WireGuard tunnels. Try, in another terminal:

# TLS ends at the gateway; one of the CVMs answers from its port 80
{{.Curl}} https://{{.App}}.{{.Domain}}/

# the same with HTTP/2 (g) to port 8080
{{.Curl}} https://{{.App}}-8080g.{{.Domain}}/

# passed through unread (s): TLS ends in the CVM, with its own certificate
{{.Curl}} https://{{.App}}-443s.{{.Domain}}/

# one instance by its own id
{{.Curl}} https://{{(index .CVMs 1).ID}}.{{.Domain}}/

# send bytes and get them back
{{.Curl}} --data-binary 'bytes there and back' https://{{.App}}.{{.Domain}}/echo

# no app has the id "nobody": the client gets a TLS alert, and curl exits with 35
#   {{.Curl}} https://nobody.{{.Domain}}/

# an echo on port 7, and a WebSocket echo for your own client
openssl s_client -quiet -CAfile {{.Dir}}/ca.pem -connect {{.At}} -servername {{.App}}-7.{{.Domain}}
wss://{{.App}}.{{.Domain}}/ws

# for operators
curl http://{{.Admin}}/readyz
curl http://{{.Admin}}/status
curl http://{{.Admin}}/metrics

The configuration is {{.Dir}}/gateway.toml. Ctrl-C ends the demo.
`))
