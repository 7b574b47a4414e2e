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

// Which connections are encrypted again, up to inside the instance: those that end
// here and whose app [proxy] upstream_ratls lists. The instance must prove in the
// handshake that it is the app's and the very one that the router picked; so the
// tunnel's key alone does not make a machine the app. Since the ids are the word of the
// system that is measured, that system must be known too (package appraise). Passed
// through connections have the instance's own TLS and are never touched.

// InstanceTLS returns the configuration of one connection to an instance: it accepts an
// RA-TLS certificate of exactly that app and instance, and no other. Its
// VerifyConnection may fetch what it needs to judge, until ctx ends. nil: nobody can
// be judged. It is called by several goroutines at once.
type InstanceTLS func(ctx context.Context, app vm.AppID, instance vm.InstanceID) *tls.Config

// upstreams is the list in force, and who judges. set may be called at any time.
type upstreams struct {
	attested InstanceTLS // nil: nobody judges, and the list must be empty
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

// secure has a connection that ends here encrypted again, if its app is listed. The
// instance sees the name that the client asked for and the protocol that is confirmed
// to it.
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
