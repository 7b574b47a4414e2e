package gateway

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sallyport/gateway/appraise"
	"sallyport/ratls"
)

// table is m as an allow file lists it.
func table(m ratls.Measurement) string {
	return fmt.Sprintf("[[measurement]]\nmrtd = \"%x\"\nrtmr0 = \"%x\"\nrtmr1 = \"%x\"\nrtmr2 = \"%x\"\n", *m.MRTD, *m.RTMR0, *m.RTMR1, *m.RTMR2)
}

// Neither a root nor measurements: nobody could be known, so nothing starts.
func TestUpstreamWithoutRootAndMeasurementsStopsTheStart(t *testing.T) {
	zero := new([48]byte)
	some := ratls.Measurement{MRTD: zero, RTMR0: zero, RTMR1: zero, RTMR2: zero}
	const unknown = "the system in an instance would be unknown"
	for name, c := range map[string]struct {
		rpc, allow, want string
	}{
		"neither":              {"", "", unknown},
		"apps":                 {"", "apps = [\"" + strings.Repeat("ab", 20) + "\"]\n", unknown},
		"firmware":             {"", "[[measurement]]\nmrtd = \"" + strings.Repeat("ab", 48) + "\"\n", unknown},
		"one system of two":    {"", "[[measurement]]\nmrtd = \"" + strings.Repeat("ab", 48) + "\"\n" + table(some), unknown},
		"systems":              {"", table(some), ""},
		"root":                 {"client_ca = \"kms.pem\"", "", ""},
		"root that is missing": {"client_ca = \"none.pem\"", "", "[rpc] client_ca: "},
	} {
		t.Run(name, func(t *testing.T) {
			section := "[rpc]\n" + c.rpc + "\n"
			if c.allow != "" {
				section += "[attestation]\nallow_file = \"allow.toml\"\n"
			}
			s := newSite(t, `upstream_ratls = ["*"]`, section)
			s.writeKMS("kms.pem")
			s.write("allow.toml", c.allow)
			start := s.open()
			if start == nil {
				start = s.g.Close()
			}
			for what, err := range map[string]error{"check": Check(t.Context(), s.config()), "start": start} {
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || errors.Is(err, appraise.ErrUnknownSystems) != (c.want == unknown) {
					t.Errorf("%s: %v; want %q", what, err, c.want)
				}
			}
		})
	}
}
