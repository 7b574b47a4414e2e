package cloudflare

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func (a *API) listZones(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	status := r.URL.Query().Get("status")
	paged(w, r, 5, 50, slices.DeleteFunc(slices.Clone(a.zones), func(z zone) bool { return status != "" && z.Status != status }))
}

func (a *API) list(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.knowsLocked(w, r) {
		return
	}
	q := r.URL.Query()
	paged(w, r, 1, 5_000_000, slices.DeleteFunc(slices.Clone(a.records[r.PathValue("zone")]), func(x Record) bool {
		return x.Type != q.Get("type") || x.Name != q.Get("name")
	}))
}

func (a *API) create(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.knowsLocked(w, r) {
		return
	}
	var x Record
	if err := json.NewDecoder(r.Body).Decode(&x); err != nil || r.Header.Get("Content-Type") != "application/json" {
		Fail(w, http.StatusBadRequest, 9207, "Request body is invalid.")
		return
	}
	id := r.PathValue("zone")
	zone := strings.TrimPrefix(id, idOf(""))
	switch {
	case x.Type == "CAA" && x.Data == nil:
		Fail(w, http.StatusBadRequest, 9101, "data is a required field for this record type")
		return
	case x.TTL != 1 && x.TTL < 60: // 1 is "automatic"
		Fail(w, http.StatusBadRequest, 9021, "Invalid TTL.")
		return
	case x.Name != zone && !strings.HasSuffix(x.Name, "."+zone):
		x.Name += "." + zone // as the API does
	}
	if slices.ContainsFunc(a.records[id], x.same) {
		Fail(w, http.StatusBadRequest, 81058, "An identical record already exists.")
		return
	}
	a.next++
	x.ID = "record-" + strconv.Itoa(a.next)
	a.records[id] = append(a.records[id], x)
	Succeed(w, x, 0)
}

func (a *API) remove(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.knowsLocked(w, r) {
		return
	}
	id := r.PathValue("zone")
	i := slices.IndexFunc(a.records[id], func(x Record) bool { return x.ID == r.PathValue("id") })
	if i < 0 {
		Fail(w, http.StatusNotFound, 81044, "Record does not exist.")
		return
	}
	a.records[id] = slices.Delete(a.records[id], i, i+1)
	Succeed(w, map[string]string{"id": r.PathValue("id")}, 0)
}

// knowsLocked answers if the zone of the request is none of the token's.
func (a *API) knowsLocked(w http.ResponseWriter, r *http.Request) bool {
	id := r.PathValue("zone")
	known := slices.ContainsFunc(a.zones, func(z zone) bool { return z.ID == id })
	if !known {
		Fail(w, http.StatusNotFound, 7003, "Could not route to "+r.URL.Path+", perhaps your object identifier is invalid?")
	}
	return known
}

// same reports whether both are the same; quotes around a text do not count.
func (r Record) same(x Record) bool {
	if r.Type != x.Type || !strings.EqualFold(r.Name, x.Name) || (r.Data == nil) != (x.Data == nil) {
		return false
	}
	if r.Data != nil {
		return *r.Data == *x.Data
	}
	return strings.Trim(r.Content, `"`) == strings.Trim(x.Content, `"`)
}

// paged answers with one page of a list, from least to most items.
func paged[T any](w http.ResponseWriter, r *http.Request, least, most int, list []T) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))    // 0 is refused
	per, _ := strconv.Atoi(r.URL.Query().Get("per_page")) // too
	if page < 1 || per < least || per > most {
		Fail(w, http.StatusBadRequest, 6003, "Invalid request headers")
		return
	}
	from := min((page-1)*per, len(list))
	Succeed(w, list[from:min(from+per, len(list))], (len(list)+per-1)/per)
}

// Succeed answers with a result, of a list so many pages.
func Succeed(w http.ResponseWriter, result any, pages int) {
	answer(w, http.StatusOK, map[string]any{
		"success": true, "errors": []any{}, "messages": []any{}, "result": result, "result_info": map[string]int{"total_pages": pages},
	})
}

// Fail answers with an error of the API's.
func Fail(w http.ResponseWriter, status, code int, message string) {
	answer(w, status, map[string]any{
		"success": false, "errors": []any{map[string]any{"code": code, "message": message}}, "messages": []any{}, "result": nil,
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to somebody who may have left
}
