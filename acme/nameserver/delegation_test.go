package nameserver

import (
	"net/netip"
	"strings"
	"testing"

	"sallyport/internal/dnsquery"
)

func TestDelegationIsLookedForAndExplained(t *testing.T) {
	_, addr := start(t, Options{Zones: []Zone{base(), delegated()}})
	world := dnsquery.Resolver{Servers: []netip.AddrPort{addr}}
	moved := base()
	moved.NS = []NameServer{{Name: "ns9.gw.example"}}
	moved.Addresses = append(moved.Addresses, addresses("::ffff:192.0.2.3")...) // an A record, as in answers
	below := base()
	below.Name = "below.gw.example"
	strange := base()
	strange.Name = "strange.example"
	for _, c := range []struct {
		name string
		zone Zone
		want []string // words of the error; nil: none
	}{
		{"a whole domain", base(), nil},
		{"a challenge", delegated(), nil},
		{"other servers", moved, []string{
			"gw.example. is served by ns1.gw.example.",
			"gw.example. NS ns9.gw.example.; ns9.gw.example. A 192.0.2.1; ns9.gw.example. A 192.0.2.2; ns9.gw.example. AAAA 2001:db8::1; ns9.gw.example. A 192.0.2.3",
		}},
		{"no zone", below, []string{"below.gw.example. is not a zone yet", "below.gw.example. NS ns1.gw.example.; below.gw.example. NS ns2.elsewhere.example."}},
		{"nobody answers", strange, []string{"strange.example. cannot be reached through DNS", "port 53"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Delegated(t.Context(), world, c.zone)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("%v", err)
			}
			for _, words := range c.want {
				if !strings.Contains(err.Error(), words) {
					t.Errorf("%v: does not say %q", err, words)
				}
			}
		})
	}
}
