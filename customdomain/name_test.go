package customdomain

import (
	"strings"
	"testing"

	"sallyport/internal/hostname"
)

func TestOnlyHostNamesCanBeCustomDomains(t *testing.T) {
	label := strings.Repeat("a", hostname.MaxLabel)
	longest := label + "." + label + "." + label + "." + label[:61] // 253 bytes
	for name, want := range map[string]bool{
		"www.customer.org":              true,
		"a-b.xn--p1ai":                  true,
		"1.2.3.a4":                      true,
		longest:                         true,
		"a" + longest:                   false,
		label + "a.org":                 false,
		"localhost":                     false,
		"":                              false,
		".":                             false,
		".org":                          false,
		"a..org":                        false,
		"www.customer.org.":             false,
		"-a.org":                        false,
		"a-.org":                        false,
		"a.-":                           false,
		"my_app.customer.org":           true,
		"_acme_.customer.org":           true,
		"a b.org":                       false,
		"a\x00.org":                     false,
		"bücher.example":                false,
		"192.0.2.1":                     false,
		"www.1org":                      false,
		"*.customer.org":                false,
		strings.Repeat("a.", 126) + "a": true,
		strings.Repeat("a.", 127) + "a": false,
	} {
		if got := isHost(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
		if got := isHost([]byte(name)); got != want {
			t.Errorf("[]byte(%q): %v", name, got)
		}
	}
}
