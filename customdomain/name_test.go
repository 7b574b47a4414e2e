package customdomain

import (
	"strings"
	"testing"

	"sallyport/internal/hostname"
)

func TestNamesAreFoldedAndJudged(t *testing.T) {
	label := strings.Repeat("a", hostname.MaxLabel)
	longest := label + "." + label + "." + label + "." + label[:61] // 253 bytes
	for in, want := range map[string]string{
		"www.customer.org":              "www.customer.org",
		"WWW.Customer.ORG.":             "www.customer.org",
		"a-b.xn--p1ai":                  "a-b.xn--p1ai",
		"1.2.3.a4":                      "1.2.3.a4",
		longest:                         longest,
		longest + ".":                   longest,
		"a" + longest:                   "",
		label + "a.org":                 "",
		"localhost":                     "",
		"":                              "",
		".":                             "",
		".org":                          "",
		"a..org":                        "",
		"www.customer.org..":            "",
		"-a.org":                        "",
		"a-.org":                        "",
		"a.-":                           "",
		"my_app.customer.org":           "my_app.customer.org",
		"_Acme_.customer.org":           "_acme_.customer.org",
		"a b.org":                       "",
		"a\x00.org":                     "",
		"bücher.example":                "",
		"192.0.2.1":                     "",
		"www.1org":                      "",
		"*.customer.org":                "",
		strings.Repeat("a.", 127):       strings.Repeat("a.", 126) + "a",
		strings.Repeat("a.", 127) + "a": "",
	} {
		var buf [maxName]byte
		got, ok := fold(&buf, in)
		if ok != (want != "") || ok && string(got) != want {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
}
