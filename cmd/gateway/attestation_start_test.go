package main

import (
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

func TestGatewayDoesNotStartWithoutItsPolicy(t *testing.T) {
	s := newAttestedSite(t)
	for _, test := range []struct{ section, allow, says string }{
		{`allow_file = "none.toml"`, "", s.path("none.toml") + ": no such file"},
		{`allow_file = "allow.toml"`, "apps = [\n\"x\"]\n", s.path("allow.toml") + ":2:1: apps: "},
		{`allow_file = "allow.toml"`, "", "lists nothing"},
		{`collateral_file = "none.json"`, "", "none.json"},
		{`collateral_file = "gateway.toml"`, "", "gateway.toml"},
	} {
		s.write("allow.toml", test.allow)
		s.attest(test.section)
		code, _, said := gwtest.Outcome(t, "run", "--config", s.path("gateway.toml"))
		if code != 1 || !strings.Contains(said, "gateway: [attestation] ") || !strings.Contains(said, test.says) {
			t.Errorf("%s: exit code %d; it says %s", test.section, code, said)
		}
	}
}
