package gateway

import (
	"errors"
	"testing"

	"sallyport/config"
	"sallyport/gateway/route"
	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

func TestReloadTellsWhatNeedsARestart(t *testing.T) {
	file := config.Domain{Name: "a.test", Cert: "c", Key: "k", Wildcard: true}
	for _, c := range []struct {
		name  string
		added config.Domain
		want  error
	}{
		{"the first of an authority", config.Domain{Name: "b.test", ACME: true, Wildcard: true}, errFirstACME},
		{"own evidence", config.Domain{Name: "b.test", RATLS: true, Wildcard: true}, errRATLS},
	} {
		g := &Gateway{routes: route.New(route.Options{Domains: []config.Domain{file}})}
		err := g.setDomains(&config.Config{Domains: []config.Domain{file, c.added}})
		if !errors.Is(err, c.want) || len(g.routes.Domains()) != 1 {
			t.Errorf("%s: %v, want %v and nothing changed", c.name, err, c.want)
		}
	}
}

// Whether an app is encrypted again follows the list of each reload; a file with a problem
// changes nothing. Nobody can be judged here, so an app that is listed is not reached.
func TestReloadChangesWhichAppsAreEncryptedAgain(t *testing.T) {
	s := newSite(t, "upstream_ratls = []", shopOne)
	s.writeKMS("kms.pem")
	rpc := "[rpc]\nclient_ca = \"kms.pem\"\n"
	s.configure("upstream_ratls = []", shopOne, rpc)
	s.run()
	listeners, port := gwtest.Listen(t, one)
	gwtest.ServeWeb(t, listeners[0], nil)
	if got, err := s.get("aaaa-" + port); got != "plain" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, step := range []struct {
		list  string
		plain bool
	}{{`["aaaa"]`, false}, {`["a problem", 1]`, false}, {`["bbbb"]`, true}, {`["*"]`, false}} {
		s.configure("upstream_ratls = "+step.list, shopOne, rpc)
		s.g.ReloadConfig(s.path("gateway.toml"))
		if got, err := s.get("aaaa-" + port); (err == nil) != step.plain {
			t.Errorf("%s: %q, %v", step.list, got, err)
		}
	}
}

// writeKMS writes the root of an authority.
func (s *site) writeKMS(name string) {
	s.t.Helper()
	kms, err := ratls.NewAuthority()
	if err != nil {
		s.t.Fatal(err)
	}
	root, _, err := kms.EncodePEM()
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, string(root))
}
