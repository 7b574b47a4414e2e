package caa

import (
	"slices"
	"testing"
)

func TestParseIssuer(t *testing.T) {
	for text, want := range map[string]issuer{
		"":                      {},
		";":                     {},
		"\t ; \t":               {},
		"a.b-c.d1":              {name: "a.b-c.d1"},
		"A.B;":                  {name: "a.b"},
		"a;t=":                  {name: "a", parameters: []parameter{{"t", ""}}},
		"a;T = v=w ;\tu=,:<>!~": {name: "a", parameters: []parameter{{"t", "v=w"}, {"u", ",:<>!~"}}},
		";t=v":                  {parameters: []parameter{{"t", "v"}}},
		"a;t=v;t=w":             {name: "a", parameters: []parameter{{"t", "v"}, {"t", "w"}}},
	} {
		got, err := parseIssuer(text)
		if err != nil || got.name != want.name || !slices.Equal(got.parameters, want.parameters) {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"a b", "a.", ".a", "a..b", "-a", "a-", "a_b", "a;t", "a;t=v;", "a;;t=v", "a;=v", "a;t u=v", "a;-t=v", "a;t=v w", "a;t=\x7f", "a;t=\u00fc", "a\n", "a;t=v\n"} {
		if got, err := parseIssuer(text); err == nil {
			t.Errorf("%q is parsed: %+v", text, got)
		}
	}
}

// What parses must, written again, parse to the same; what does not gives nothing.
func FuzzParseIssuer(f *testing.F) {
	for _, v := range values {
		f.Add(v.value)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := parseIssuer(text)
		if err != nil {
			if i.name != "" || i.parameters != nil {
				t.Errorf("%q gives %+v with an error", text, i)
			}
			return
		}
		again, err := parseIssuer(i.String())
		if err != nil || again.name != i.name || !slices.Equal(again.parameters, i.parameters) {
			t.Errorf("%q is %+v, written %q, which is %+v, %v", text, i, i.String(), again, err)
		}
		if unmet(text, Request{}) == "" {
			t.Errorf("%q permits an authority without a name", text)
		}
	})
}
