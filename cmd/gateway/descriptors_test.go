package main

import (
	"os"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// check tells the division, and warns of a file that asks for more than there is.
func TestCheckTellsHowDescriptorsAreDivided(t *testing.T) {
	s := newSite(t)
	text, err := os.ReadFile(s.path("gateway.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for connections, warning := range map[string]bool{"10": false, "100000000": true} {
		file := strings.Replace(string(text), "[proxy]\n", "[proxy]\nmax_connections = "+connections+"\n", 1)
		if err := os.WriteFile(s.path("gateway.toml"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, _ := gwtest.Outcome(t, "check", "--config", s.path("gateway.toml"))
		if code != 0 || !strings.Contains(out, " connections of 3 each (own ") || !strings.Contains(out, ", guests ") ||
			strings.Contains(out, "warning: max_connections = "+connections+" is more than") != warning {
			t.Errorf("max_connections = %s: exit code %d: %s", connections, code, out)
		}
	}
}
