package gateway

import (
	"errors"
	"os"
	"strings"
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

// A list of apps that cannot be known leaves the domains of the same file alone.
func TestReloadWithAProblemChangesNothing(t *testing.T) {
	s := newSite(t, "")
	s.run()
	text, err := os.ReadFile(s.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.NewReplacer("gw.test", "other.test", "[proxy]\n", "[proxy]\nupstream_ratls = [\"*\"]\n").Replace(string(text))
	s.write("gateway.toml", bad)
	s.g.ReloadConfig(s.path("gateway.toml"))
	if d := s.g.routes.Domains(); len(d) != 1 || d[0].Name != "gw.test" {
		t.Errorf("the domains are %+v", d)
	}
	if !strings.Contains(s.log.String(), "the previous one stays in force") {
		t.Errorf("the log says\n%s", s.log.String())
	}
}

// A change that a reload does not take over is not passed over in silence.
func TestReloadNamesTheSectionsThatNeedARestart(t *testing.T) {
	s := newSite(t, "")
	s.run()
	s.configure("proxy_tlvs = [\"aaaa\"]")
	s.g.ReloadConfig(s.path("gateway.toml"))
	if strings.Contains(s.log.String(), "after a restart") {
		t.Errorf("of proxy_tlvs the log says\n%s", s.log.String())
	}
	s.configure("max_connections = 7", shopOne, "[health]\nmax_handshake_age = \"4m\"\n[attestation]\nmax_age = \"1h\"\n")
	s.g.ReloadConfig(s.path("gateway.toml"))
	if want := `sections="[proxy] [health] [instance]"`; !strings.Contains(s.log.String(), want) {
		t.Errorf("the log says\n%s\nwant %s", s.log.String(), want)
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
