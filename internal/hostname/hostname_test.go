package hostname

import (
	"strings"
	"testing"
)

func TestNamesAndLabels(t *testing.T) {
	label := strings.Repeat("a", MaxLabel)
	longest := label + "." + label + "." + label + "." + label[:MaxLength-3*MaxLabel-3]
	for _, c := range []struct {
		name                string
		valid, loose, label bool
	}{
		{"a", true, true, true},
		{"localhost", true, true, true},
		{"gw.example", true, true, false},
		{"GW.Example", true, true, false},
		{"a-b.xn--p1ai", true, true, false},
		{"1.2.3.4", true, true, false},
		{label, true, true, true},
		{label + "a", false, false, false},
		{longest, true, true, false},
		{longest + "a", false, false, false},
		{strings.Repeat("a.", 126) + "a", true, true, false},
		{"my_app.example", false, true, false},
		{"_acme-challenge.example", false, true, false},
		{"_", false, true, false},
		{"", false, false, false},
		{".", false, false, false},
		{".example", false, false, false},
		{"example.", false, false, false},
		{"a..example", false, false, false},
		{"-a.example", false, false, false},
		{"a-.example", false, false, false},
		{"a.-", false, false, false},
		{"*.example", false, false, false},
		{"a b.example", false, false, false},
		{"a\x00.example", false, false, false},
		{"bücher.example", false, false, false},
	} {
		if got := Valid(c.name); got != c.valid {
			t.Errorf("Valid(%q) = %v", c.name, got)
		}
		if got := Valid([]byte(c.name)); got != c.valid {
			t.Errorf("Valid([]byte(%q)) = %v", c.name, got)
		}
		if got := ValidLoose(c.name); got != c.loose {
			t.Errorf("ValidLoose(%q) = %v", c.name, got)
		}
		if got := ValidLabel(c.name); got != c.label {
			t.Errorf("ValidLabel(%q) = %v", c.name, got)
		}
	}
}
