package route

import (
	"context"
	"crypto/tls"
	"errors"

	"sallyport/config"
	"sallyport/internal/vm"
	"sallyport/relay"
	"sallyport/router"
)

// A connection that ends here is encrypted again, up to inside the instance, if [proxy]
// upstream_ratls lists its app. The instance must prove in the handshake that it belongs to
// the app and is the one that the router chose; so the tunnel's key alone does not make a
// machine the app. The measured system states the ids, so that system must be known too
// (package appraise). Connections that are passed through have the instance's own TLS.

// InstanceTLS returns the configuration of one connection to an instance: it accepts an
// RA-TLS certificate of exactly that app and instance, and no other. Its
// VerifyConnection may fetch collateral, until ctx ends. It returns nil where no certificate
// can prove the ids. It is called by several goroutines at once.
type InstanceTLS func(ctx context.Context, app vm.AppID, instance vm.InstanceID) *tls.Config

// upstreams is the list in force. set may be called at any time.
type upstreams struct {
	attested InstanceTLS // nil: no certificate can be verified, and the list must be empty
	apps     appList
}

var errNoVerifier = errors.New("[proxy] upstream_ratls: this gateway cannot verify the certificates of instances; remove the list")

// set makes apps the list for connections to come. Open ones stay as they are.
func (u *upstreams) set(apps config.AppSet) error {
	if u.attested == nil && !apps.IsZero() {
		return errNoVerifier
	}
	u.apps.set(apps)
	return nil
}

// secure encrypts a connection that ends here again, if its app is listed. The instance
// sees the name that the client asked for and the protocol that the gateway confirmed.
func (u *upstreams) secure(decided *router.Decision, serverName []byte, protocol string, d *relay.Decision) {
	app := decided.App.ID
	if !u.apps.has(app) {
		return
	}
	name := string(serverName)
	var protocols []string
	if protocol != "" {
		protocols = []string{protocol}
	}
	for i, c := range decided.Candidates[:decided.N] {
		instance := c.Instance.ID
		d.Backends[i].TLS = func(ctx context.Context) *tls.Config {
			conf := u.attested(ctx, app, instance)
			if conf == nil {
				return nil
			}
			conf = conf.Clone()
			conf.ServerName, conf.NextProtos = name, protocols
			return conf
		}
	}
}
