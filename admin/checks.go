package admin

import (
	"fmt"
	"net/http"
	"strings"

	"sallyport/internal/oneline"
)

// Check is one condition for being ready.
type Check struct {
	// Name says what is checked, in a word or two.
	Name string

	// Ready returns nil or the reason why not, fit to be shown to an operator. It
	// is called once for each request for /readyz, concurrently, and must return
	// at once: it reports what is known and probes nothing.
	Ready func() error
}

// readyHandler answers 200 and "ok", or 503 and a line "name: reason" for each
// failed check, in the order given.
func readyHandler(checks []Check) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var failed strings.Builder
		for _, c := range checks {
			if err := c.Ready(); err != nil {
				fmt.Fprintf(&failed, "%s: %s\n", c.Name, oneline.Text(err.Error()))
			}
		}
		if failed.Len() == 0 {
			text("ok\n")(w, r)
			return
		}
		http.Error(w, strings.TrimSuffix(failed.String(), "\n"), http.StatusServiceUnavailable)
	})
}
