package cloudflare

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/libdns/libdns"
)

const token = "good-token_0123456789"

// api is a double of the part of Cloudflare's API that is used.
type api struct {
	*httptest.Server

	mu      sync.Mutex // guards what follows
	zones   []zoneInfo
	pending []string            // those of zones that are not active
	records map[string][]record // by zone id
	next    int
	calls   []string
	// before may answer in the API's place; it reports whether it has.
	before func(w http.ResponseWriter, r *http.Request) bool
}

func newAPI(t *testing.T, zones ...string) *api {
	t.Helper()
	a := &api{records: map[string][]record{}}
	for _, z := range zones {
		a.zones = append(a.zones, zoneInfo{ID: "id-of-" + z, Name: z})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /client/v4/zones", a.listZones)
	mux.HandleFunc("GET /client/v4/zones/{zone}/dns_records", a.list)
	mux.HandleFunc("POST /client/v4/zones/{zone}/dns_records", a.create)
	mux.HandleFunc("DELETE /client/v4/zones/{zone}/dns_records/{id}", a.remove)
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.calls = append(a.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/client/v4"))
		switch {
		case a.before != nil && a.before(w, r):
		case r.Header.Get("Authorization") != "Bearer "+token:
			fail(w, http.StatusForbidden, 9109, "Invalid access token")
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

// provider makes one that talks to a.
func (a *api) provider(t *testing.T) *Provider {
	t.Helper()
	p, err := New(Options{Token: token, BaseURL: a.URL + "/client/v4/"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (a *api) listZones(w http.ResponseWriter, r *http.Request) {
	list := slices.DeleteFunc(slices.Clone(a.zones), func(z zoneInfo) bool {
		return r.URL.Query().Get("status") == "active" && slices.Contains(a.pending, z.Name)
	})
	paged(w, r, 5, 50, list)
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	list := slices.DeleteFunc(slices.Clone(a.records[r.PathValue("zone")]), func(x record) bool {
		return x.Type != q.Get("type") || x.Name != q.Get("name")
	})
	paged(w, r, 1, 5000000, list)
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	var x record
	if err := json.NewDecoder(r.Body).Decode(&x); err != nil || r.Header.Get("Content-Type") != "application/json" {
		fail(w, http.StatusBadRequest, 9207, "Request body is invalid.")
		return
	}
	zone := strings.TrimPrefix(r.PathValue("zone"), "id-of-")
	switch {
	case x.Type == "CAA" && x.Data == nil:
		fail(w, http.StatusBadRequest, 9101, "data is a required field for this record type")
		return
	case x.TTL != 1 && x.TTL < 60:
		fail(w, http.StatusBadRequest, 9021, "Invalid TTL.")
		return
	case x.Name != zone && !strings.HasSuffix(x.Name, "."+zone):
		x.Name += "." + zone // as the API does
	}
	for _, old := range a.records[r.PathValue("zone")] {
		if old.equal(x) {
			fail(w, http.StatusBadRequest, 81058, "An identical record already exists.")
			return
		}
	}
	a.next++
	x.ID = "record-" + strconv.Itoa(a.next)
	a.records[r.PathValue("zone")] = append(a.records[r.PathValue("zone")], x)
	succeed(w, x, 0)
}

func (a *api) remove(w http.ResponseWriter, r *http.Request) {
	zone := r.PathValue("zone")
	i := slices.IndexFunc(a.records[zone], func(x record) bool { return x.ID == r.PathValue("id") })
	if i < 0 {
		fail(w, http.StatusNotFound, 81044, "Record does not exist.")
		return
	}
	a.records[zone] = slices.Delete(a.records[zone], i, i+1)
	succeed(w, map[string]string{"id": r.PathValue("id")}, 0)
}

// texts are the contents of zone's records, and values of CAA records, at name.
func (a *api) texts(zone, name string) (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.records["id-of-"+zone] {
		if r.Name != name {
			continue
		}
		if r.Data != nil {
			list = append(list, fmt.Sprintf("%d %s %s", r.Data.Flags, r.Data.Tag, r.Data.Value))
		} else {
			list = append(list, r.Content)
		}
	}
	slices.Sort(list)
	return list
}

func (a *api) called() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// paged answers with one page of a list.
func paged[T any](w http.ResponseWriter, r *http.Request, least, most int, list []T) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	per, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	if page < 1 || per < least || per > most {
		fail(w, http.StatusBadRequest, 6003, "Invalid request headers")
		return
	}
	total := (len(list) + per - 1) / per
	from := min((page-1)*per, len(list))
	succeed(w, list[from:min(from+per, len(list))], total)
}

func succeed(w http.ResponseWriter, result any, pages int) {
	json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck // the test sees it
		"success": true, "errors": []any{}, "messages": []any{}, "result": result, "result_info": map[string]int{"total_pages": pages},
	})
}

func fail(w http.ResponseWriter, status, code int, message string) {
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck // the test sees it
		"success": false, "errors": []any{map[string]any{"code": code, "message": message}}, "messages": []any{}, "result": nil,
	})
}

func txt(name, text string) libdns.TXT { return libdns.TXT{Name: name, Text: text} }

// mustFail checks that err says all of words, and not the token.
func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), token) {
		t.Errorf("error %q tells the token", err)
	}
}
