package cloudflare

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// zoneInfo is a zone of the API.
type zoneInfo struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

const (
	perPage = 50 // the API's largest page of zones
	// maxPages bounds what is read: 10,000 zones, or records at one name.
	maxPages = 200
)

// zoneOf finds the longest of the token's zones that holds name. One that is not
// active does not count: its parent delegates it to other servers, or to none.
func (p *Provider) zoneOf(ctx context.Context, name string) (zoneInfo, error) {
	zones, err := pages[zoneInfo](ctx, p, "/zones", url.Values{"status": {"active"}})
	if err != nil {
		return zoneInfo{}, fmt.Errorf("cloudflare: list the token's zones: %w", needing(err, "Zone / Zone / Read"))
	}
	var best zoneInfo
	for _, z := range zones {
		holds := name == z.Name || strings.HasSuffix(name, "."+z.Name)
		if holds && z.Name != "" && len(z.Name) > len(best.Name) {
			best = z
		}
	}
	if best.ID == "" {
		return best, fmt.Errorf("cloudflare: none of the %d active zones that the token may read holds %s: give it Zone / Zone / Read and Zone / DNS / Edit on that zone", len(zones), name)
	}
	return best, nil
}

// pages reads all pages of a list.
func pages[T any](ctx context.Context, p *Provider, path string, query url.Values) ([]T, error) {
	var list []T
	query.Set("per_page", strconv.Itoa(perPage))
	for page := 1; page <= maxPages; page++ {
		query.Set("page", strconv.Itoa(page))
		var items []T
		info, err := p.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &items)
		if err != nil {
			return nil, err
		}
		list = append(list, items...)
		if len(items) == 0 || page >= info.TotalPages {
			return list, nil
		}
	}
	return nil, fmt.Errorf("there are more than %d: use a token for fewer zones", maxPages*perPage)
}
