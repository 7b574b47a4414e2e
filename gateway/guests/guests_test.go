package guests

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/registry"
	"sallyport/registry/store"
	"sallyport/rpc"
)

// nowhere publishes to nobody.
type nowhere struct{}

func (nowhere) Upsert(...vm.Spec)       {}
func (nowhere) Remove(...vm.InstanceID) {}

// What of an error names servers, files and devices is logged, and the guest does not see it.
func TestGuestSeesWhatConcernsIt(t *testing.T) {
	const secret = "dial 10.1.2.3:443: refused"
	for name, c := range map[string]struct {
		authorize error
		want      error
		logged    bool
	}{
		"accepted":           {nil, nil, false},
		"denied":             {registry.ErrDenied, registry.ErrDenied, false},
		"the webhook is out": {errors.New(secret), registry.ErrAuthorizer, true},
	} {
		var log gwtest.Buffer
		bolt, err := store.OpenBolt(filepath.Join(t.TempDir(), store.FileName))
		if err != nil {
			t.Fatal(err)
		}
		r, err := registry.Open(t.Context(), registry.Options{
			Store: bolt, Publisher: nowhere{}, Log: slog.New(slog.DiscardHandler),
			Network: netip.MustParsePrefix("10.8.0.1/16"), Pool: netip.MustParsePrefix("10.8.0.0/24"),
			Authorize: func(context.Context, registry.Request) error { return c.authorize },
		})
		if err != nil {
			t.Fatal(err)
		}
		caller := rpc.Caller{App: "app", Instance: "one"}
		grant, err := registrar{r, slog.New(slog.NewTextHandler(&log, nil))}.Register(t.Context(), caller, rpc.Registration{Key: vm.WGKey{1}, Policy: vm.OpenPolicy()})
		if !errors.Is(err, c.want) || err != nil && strings.Contains(err.Error(), secret) || grant.Address.IsValid() != (c.want == nil) {
			t.Errorf("%s: %v, %v; want %v", name, grant, err, c.want)
		}
		if strings.Contains(log.String(), secret) != c.logged {
			t.Errorf("%s: the log says %s", name, log.String())
		}
		if err := bolt.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestGuestIsWhoItsCertificateSays(t *testing.T) {
	kms, err := ratls.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	info := ratls.AppInfo{AppID: ratls.AppID{1}, InstanceID: ratls.InstanceID{2}, ComposeHash: ratls.Hash{3}}
	cert, err := kms.Issue(ratls.Request{AppID: info.AppID, AppInfo: &info, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	chain = append(chain, kms.Root())
	got, err := identifier{}.identify(t.Context(), &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain}})
	if err != nil {
		t.Fatal(err)
	}
	if string(got.App) != info.AppID.String() || string(got.Instance) != info.InstanceID.String() || got.Compose != vm.ComposeHash(info.ComposeHash) {
		t.Errorf("%+v", got)
	}
	if p := got.Info.(proof); p.evidence != nil || p.chain.Root != sha256.Sum256(kms.Root().Raw) || !p.chain.Until.Equal(cert.Leaf.NotAfter) {
		t.Errorf("%+v", p)
	}
	if _, err := (identifier{}).identify(t.Context(), &tls.ConnectionState{}); err == nil {
		t.Error("a caller without a certificate is identified")
	}
	if _, err := (identifier{ratls.Options{RequireQuote: true}}).identify(t.Context(), &tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{chain}}); !errors.Is(err, rpc.ErrNoAttestation) {
		t.Errorf("without evidence that is required: %v", err)
	}
}

// A chain counts until the first of its certificates expires.
func TestProofEndsWithTheFirstCertificate(t *testing.T) {
	now := time.Now()
	chain := []*x509.Certificate{{NotAfter: now.Add(3 * time.Hour)}, {NotAfter: now.Add(time.Hour)}, {NotAfter: now.Add(2 * time.Hour)}}
	if p := proofOf(chain); !p.Until.Equal(now.Add(time.Hour)) {
		t.Errorf("until %v", p.Until)
	}
}
