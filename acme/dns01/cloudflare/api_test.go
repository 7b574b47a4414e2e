package cloudflare

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libdns/libdns"

	double "sallyport/internal/gwtest/cloudflare"
)

func TestErrorTellsTheMissingPermission(t *testing.T) {
	for _, c := range []struct {
		name         string
		method, path string
		status, code int
		words        []string
	}{
		{"zones may not be listed", "GET", "/zones", 403, 9109, []string{"lacks Zone / Zone / Read", "9109"}},
		{"records may not be made", "POST", "/dns_records", 403, 10000, []string{"lacks Zone / DNS / Edit on zone example.com", "10000"}},
		{"records may not be listed", "GET", "/dns_records", 403, 10000, []string{"lacks Zone / DNS / Edit on zone example.com"}},
		{"records may not be deleted", "DELETE", "/dns_records/x", 403, 10000, []string{"lacks Zone / DNS / Edit on zone example.com"}},
		{"token is wrong", "GET", "/zones", 401, 1000, []string{"token is not valid: make"}},
		{"token is wrong, in other words", "GET", "/zones", 401, 10000, []string{"token is not valid: make"}},
		{"token is malformed", "GET", "/zones", 400, 6003, []string{"token is not valid"}},
		{"another failure", "POST", "/dns_records", 400, 9999, []string{"add TXT record at gw.example.com", "status 400", "9999", `"told\x1b`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := double.New(t, "example.com")
			a.Put("example.com", double.Record{ID: "x", Type: "TXT", Name: "gw.example.com", Content: "x"})
			a.Before(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != c.method || !strings.HasSuffix(r.URL.Path, c.path) {
					return false
				}
				double.Fail(w, c.status, c.code, "told\x1b")
				return true
			})
			p := provider(t, a)
			var err error
			if c.method == "POST" {
				err = appendOne(t, p, txt("gw", "y"))
			} else {
				_, err = p.DeleteRecords(t.Context(), "example.com.", []libdns.Record{txt("gw", "x")})
			}
			mustFail(t, err, c.words...)
		})
	}
}

func TestNoZoneOfTheToken(t *testing.T) {
	a := double.New(t, "example.net", "example.org")
	mustFail(t, appendOne(t, provider(t, a), txt("gw", "x")), "none of the 2 active zones", "gw.example.com", "Zone / Zone / Read")
}

func TestWrongTokenIsRefused(t *testing.T) {
	a := double.New(t, "example.com")
	p := provider(t, a)
	p.token = "other"
	mustFail(t, appendOne(t, p, txt("gw", "x")), "token is not valid, or lacks Zone / Zone / Read", "Invalid access token")
}

// The code says "already exists", but it is another record.
func TestExistingRecordMustBeEqual(t *testing.T) {
	a := double.New(t, "example.com")
	a.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			double.Fail(w, 400, 81057, "Record already exists.")
		}
		return r.Method == http.MethodPost
	})
	mustFail(t, appendOne(t, provider(t, a), txt("gw", "x")), "81057")
}

func TestRecordThatVanishesIsDeleted(t *testing.T) {
	a := double.New(t, "example.com")
	a.Put("example.com", double.Record{ID: "x", Type: "TXT", Name: "gw.example.com", Content: `"x"`})
	a.Before(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			a.Clear("example.com")
		}
		return false
	})
	deleteOne(t, provider(t, a), txt("gw", "x"))
}

func TestRedirectIsNotFollowed(t *testing.T) {
	a := double.New(t, "example.com")
	a.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/elsewhere") {
			t.Error("the redirect was followed")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		return true
	})
	mustFail(t, appendOne(t, provider(t, a), txt("gw", "x")), "status 307")
}

// script is a transport that gives its answers in turn, and notes when it was asked.
type script struct {
	answers []func() (*http.Response, error)
	start   time.Time
	at      []time.Duration
}

func (s *script) RoundTrip(*http.Request) (*http.Response, error) {
	s.at = append(s.at, time.Since(s.start))
	next := s.answers[min(len(s.at), len(s.answers))-1]
	return next()
}

func status(code int, retryAfter, body string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{"Retry-After": {retryAfter}}, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

func answers(list ...func() (*http.Response, error)) []func() (*http.Response, error) { return list }

func at(seconds ...int) (list []time.Duration) {
	for _, s := range seconds {
		list = append(list, time.Duration(s)*time.Second)
	}
	return list
}

func broken() (*http.Response, error) { return nil, errors.New("connection reset") }

const none = `{"success":true,"result":[],"result_info":{"total_pages":0}}`

func TestTries(t *testing.T) {
	for _, c := range []struct {
		name    string
		answers []func() (*http.Response, error)
		at      []time.Duration // of the requests, in seconds
		want    string          // of the error, "" for none
	}{
		{"good at once", answers(status(200, "", none)), at(0), ""},
		{"server error passes", answers(status(500, "", ""), status(502, "", "<html>"), status(200, "", none)), at(0, 1, 3), ""},
		{"connection error passes", answers(broken, status(200, "", none)), at(0, 1), ""},
		{"Retry-After is kept", answers(status(429, "7", ""), status(200, "", none)), at(0, 7), ""},
		{"Retry-After shorter than ours", answers(status(429, "0", ""), status(200, "", none)), at(0, 1), ""},
		{"Retry-After as a date", answers(status(503, "Sat, 01 Jan 2000 00:00:09 GMT", ""), status(200, "", none)), at(0, 9), ""},
		{"Retry-After in nonsense", answers(status(429, "soon", ""), status(200, "", none)), at(0, 1), ""},
		{"Retry-After too long", answers(status(429, "31", "")), at(0), "given up after 1 tries: status 429"},
		{"never good", answers(status(503, "", "")), at(0, 1, 3, 7), "given up after 4 tries: status 503"},
		{"never connected", answers(broken), at(0, 1, 3, 7), "given up after 4 tries"},
		{"another failure is final", answers(status(404, "", "")), at(0), "status 404"},
		{"not JSON", answers(status(200, "", "hello")), at(0), "is not JSON"},
		{"no success", answers(status(200, "", `{"success":false}`)), at(0), "status 200"},
		{"another result", answers(status(200, "", `{"success":true,"result":"x"}`)), at(0), "not what was asked for"},
		{"too long", answers(status(200, "", `{"success":true,"result":[]`+strings.Repeat(" ", maxBody)+"}")), at(0), "at most 1 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, err := New(Options{Token: token})
				if err != nil {
					t.Fatal(err)
				}
				s := &script{answers: c.answers, start: time.Now()}
				p.client.Transport = s
				_, err = pages[zoneInfo](t.Context(), p, "/zones", url.Values{})
				if c.want == "" && err != nil {
					t.Errorf("got %v", err)
				} else if c.want != "" {
					mustFail(t, err, c.want)
				}
				if !slices.Equal(s.at, c.at) {
					t.Errorf("asked at %v, want %v", s.at, c.at)
				}
			})
		})
	}
}

func TestCancelEndsTheTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Options{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		s := &script{answers: answers(status(500, "", "")), start: time.Now()}
		p.client.Transport = s
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := p.zoneOf(ctx, "gw.example.com"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(s.at) != 2 {
			t.Errorf("asked at %v", s.at)
		}
	})
}

// Whatever answers in the API's place, reading it ends in an error or in a list.
func FuzzAnswer(f *testing.F) {
	f.Add(200, none)
	f.Add(403, `{"success":false,"errors":[{"code":9109,"message":"x"}]}`)
	f.Add(200, `{"success":true,"result":[{"id":"x","type":"CAA","data":{"flags":300}}]}`)
	f.Fuzz(func(t *testing.T, code int, body string) {
		p, err := New(Options{Token: token})
		if err != nil {
			t.Fatal(err)
		}
		p.client.Transport = &script{answers: answers(status(code, "3600", body))} // no second try
		list, err := pages[record](t.Context(), p, "/zones/x/dns_records", url.Values{})
		if err != nil && list != nil {
			t.Errorf("got %v with error %v", list, err)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("error %q has a control character", err)
		}
	})
}
