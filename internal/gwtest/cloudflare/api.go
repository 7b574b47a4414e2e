// Package cloudflare is a double of Cloudflare's HTTP API, version 4, for tests: the
// part that proving control of a domain and pinning an authority need. It keeps
// zones and records as the API does, its limits and error codes too, and forgets them
// with the test. [API.Texts] is what DNS would answer.
package cloudflare

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Token is the only one that is accepted.
const Token = "good-token_0123456789"

const root = "/client/v4"

// API answers on a loopback address until the test ends. Its methods may be called
// concurrently.
type API struct {
	BaseURL string
	Handler http.Handler // what answers there

	mu      sync.Mutex // guards what follows
	zones   []zone
	records map[string][]Record // by zone id
	next    int
	calls   []string
	before  func(w http.ResponseWriter, r *http.Request) bool
}

type zone struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Status string `json:"status"`
}

// Record is a DNS record.
type Record struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Content string `json:"content,omitempty"`
	Data    *CAA   `json:"data,omitempty"` // of a CAA record
	TTL     int    `json:"ttl"`
}

// CAA is what a CAA record says.
type CAA struct {
	Flags uint8  `json:"flags"`
	Tag   string `json:"tag"`
	Value string `json:"value"`
}

// New starts an API whose token may read and edit zones.
func New(t testing.TB, zones ...string) *API {
	t.Helper()
	a := &API{records: map[string][]Record{}}
	for _, name := range zones {
		a.zones = append(a.zones, zone{ID: idOf(name), Name: name, Status: "active"})
	}
	a.Handler = a.routes()
	server := httptest.NewServer(a.Handler)
	t.Cleanup(server.Close)
	a.BaseURL = server.URL + root
	return a
}

func idOf(zone string) string { return "id-of-" + zone }

// Pend makes a zone one that its registrar does not delegate to Cloudflare yet.
func (a *API) Pend(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.zones {
		if a.zones[i].Name == name {
			a.zones[i].Status = "pending"
		}
	}
}

// Drop takes a zone away from the token.
func (a *API) Drop(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.zones = slices.DeleteFunc(a.zones, func(z zone) bool { return z.Name == name })
	delete(a.records, idOf(name))
}

// Put adds records to a zone, as they are.
func (a *API) Put(zone string, records ...Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.records[idOf(zone)] = append(a.records[idOf(zone)], records...)
}

// Clear removes all records of a zone.
func (a *API) Clear(zone string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.records, idOf(zone))
}

// Before lets f answer in the API's place; it reports whether it has.
func (a *API) Before(f func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// Texts are the contents of zone's TXT records, and the values of its CAA records, at
// name, sorted.
func (a *API) Texts(zone, name string) (list []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range a.records[idOf(zone)] {
		switch {
		case r.Name != name:
		case r.Data != nil:
			list = append(list, fmt.Sprintf("%d %s %s", r.Data.Flags, r.Data.Tag, r.Data.Value))
		default:
			list = append(list, r.Content)
		}
	}
	slices.Sort(list)
	return list
}

// Calls are the requests so far, as "GET /zones".
func (a *API) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.calls)
}

// routes notes each call, looks at its token, and has it answered.
func (a *API) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"/zones", a.listZones)
	mux.HandleFunc("GET "+root+"/zones/{zone}/dns_records", a.list)
	mux.HandleFunc("POST "+root+"/zones/{zone}/dns_records", a.create)
	mux.HandleFunc("DELETE "+root+"/zones/{zone}/dns_records/{id}", a.remove)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls = append(a.calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, root))
		before := a.before
		a.mu.Unlock()
		switch {
		case before != nil && before(w, r):
		case r.Header.Get("Authorization") != "Bearer "+Token:
			Fail(w, http.StatusForbidden, 9109, "Invalid access token")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}
