package config

import "testing"

func TestAllAppsOrNone(t *testing.T) {
	for text, want := range map[string]struct{ all, none bool }{
		`upstream_ratls = ["*"]`:    {all: true},
		`upstream_ratls = []`:       {none: true},
		`upstream_ratls = ["abcd"]`: {},
	} {
		got := parse(t, smallest+"[proxy]\n"+text).Proxy.UpstreamRATLS
		if got.All != want.all || got.IsZero() != want.none {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestAppSetProblems(t *testing.T) {
	section := func(s string) string { return "[proxy]\n" + s }
	checkProblems(t, []problemCase{
		{name: "all and one", file: section(`upstream_ratls = ["abcd", "*"]`), want: []string{
			`f:6:27: proxy.upstream_ratls: "*" means all apps: want it alone`,
		}},
		{name: "twice", file: section(`upstream_ratls = ["abcd", "ABCD"]`), want: []string{
			`f:6:27: proxy.upstream_ratls: "abcd" is listed twice`,
		}},
		{name: "no id", file: section(`upstream_ratls = ["*.gw"]`), want: []string{
			`f:6:19: proxy.upstream_ratls: app id "*.gw": want 1 to 63 of a-z, 0-9 (upper case is folded)`,
		}},
		{name: "no list", file: section(`upstream_ratls = "*"`), want: []string{
			`f:6:1: proxy.upstream_ratls: want a list of strings, ["…", "…"], have a string`,
		}},
	})
}
