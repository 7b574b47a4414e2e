package gateway

import (
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/oneline"
)

// What would stop the start is found before it, all of it at once.
func TestCheckReadsTheFilesOfGuestsAndThePolicy(t *testing.T) {
	s := newSite(t, "", "")
	gwtest.WritePEM(t, s.dir, "rpc", gwtest.NewCA(t).Server(t, "gw.test"))
	s.writeKMS("kms.pem")
	s.write("allow.toml", "apps = [\""+strings.Repeat("ab", 20)+"\"]\n")
	s.write("empty", "")
	for name, c := range map[string]struct {
		ca, allow string
		want      []string
	}{
		"good":          {"kms.pem", "allow.toml", nil},
		"no allow file": {"kms.pem", "none.toml", []string{"[attestation] allow_file: open " + s.path("none.toml")}},
		"bad root":      {"empty", "allow.toml", []string{"rpc certificate: client CA " + s.path("empty") + ": has no certificate"}},
		"both":          {"none.pem", "empty", []string{"rpc certificate: open " + s.path("none.pem"), "[attestation] allow_file: " + s.path("empty") + ": lists nothing"}},
	} {
		file := "[[domain]]\nname = \"gw.test\"\ncert = \"web.pem\"\nkey = \"web.key\"\n[store]\npath = \"store\"\n[wireguard]\nendpoint = \"192.0.2.1:51820\"\n" +
			"[rpc]\nlisten = \"127.0.0.1:0\"\ncert = \"rpc.pem\"\nkey = \"rpc.key\"\nclient_ca = \"" + c.ca + "\"\n[attestation]\nallow_file = \"" + c.allow + "\"\n"
		s.write("gateway.toml", file)
		problems := oneline.Split(Check(t.Context(), s.config()))
		if len(problems) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, problems, c.want)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(problems[i].Error(), want) {
				t.Errorf("%s: %q, want %q", name, problems[i], want)
			}
		}
	}
	cfg := s.config()
	cfg.WireGuard.Mode = "none"
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "guests need a tunnel") {
		t.Errorf("without a tunnel: %v", err)
	}
}
