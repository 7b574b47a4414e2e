package config

import (
	"errors"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// FuzzParse: a Config or Errors, never both and never a panic; every problem
// has a place in the file; and a file that is accepted is TOML for go-toml's own
// decoder too.
func FuzzParse(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte(Example))
	f.Add([]byte(uncommented()))
	f.Add([]byte(issued))
	f.Add([]byte(smallest + "[proxy]\ntimeouts.hello = \"1s\"\n[proxy.timeouts]\n"))
	f.Add([]byte("a.b = [{c = 1, c.d = 2}, [[]], 0x1, 1979-05-27]\n[[a]]\n[a.b]\n\"\\u0000\" = '''\n'''"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("f", data)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v, error %v", c, err)
		}
		if err == nil {
			var tree map[string]any
			if err := toml.Unmarshal(data, &tree); err != nil {
				t.Fatalf("accepted a file that is not TOML: %v", err)
			}
			return
		}
		errs, ok := errors.AsType[Errors](err)
		if !ok || len(errs) == 0 {
			t.Fatalf("%T", err)
		}
		for _, e := range errs {
			if e.Line < 1 || e.Column < 1 || e.Problem == "" {
				t.Errorf("%+v", e)
			}
		}
	})
}
