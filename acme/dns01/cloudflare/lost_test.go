package cloudflare

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	double "sallyport/internal/gwtest/cloudflare"
)

// direct is a transport to a's handler without a socket, for the time of synctest.
// Of answers to the method lost the first one gets lost on the way.
type direct struct {
	a    *double.API
	lost string
}

func (d *direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.a.Handler.ServeHTTP(w, r)
	if r.Method == d.lost {
		d.lost = ""
		return nil, errors.New("connection reset")
	}
	return w.Result(), nil
}

// The change is made, its answer never comes: the next try finds it made.
func TestLostAnswerDoesNoHarm(t *testing.T) {
	const name = "gw.example.com"
	for _, tc := range []struct {
		lost  string
		calls []string
	}{
		{"POST", []string{"GET /zones", "POST", "POST", "GET /zones/id-of-example.com/dns_records", "GET /zones", "GET /zones/id-of-example.com/dns_records", "DELETE"}},
		{"DELETE", []string{"GET /zones", "POST", "GET /zones", "GET /zones/id-of-example.com/dns_records", "DELETE", "DELETE"}},
	} {
		a := double.New(t, "example.com") // its socket is not asked
		synctest.Test(t, func(t *testing.T) {
			p := provider(t, a)
			p.client.Transport = &direct{a, tc.lost}
			began := time.Now()
			if err := appendOne(t, p, txt("gw", "x")); err != nil {
				t.Error(err)
			}
			if got := a.Texts("example.com", name); !slices.Equal(got, []string{`"x"`}) {
				t.Errorf("lost %s: the name has %q", tc.lost, got)
			}
			deleteOne(t, p, txt("gw", "x"))
			if got := a.Texts("example.com", name); got != nil {
				t.Errorf("lost %s: the name still has %q", tc.lost, got)
			}
			if got := time.Since(began); got != retry {
				t.Errorf("lost %s: it took %v", tc.lost, got)
			}
		})
		var calls []string
		for _, c := range a.Calls() {
			if method, _, _ := strings.Cut(c, " "); method != http.MethodGet {
				c = method
			}
			calls = append(calls, c)
		}
		if !slices.Equal(calls, tc.calls) {
			t.Errorf("lost %s: called %q, want %q", tc.lost, calls, tc.calls)
		}
	}
}
