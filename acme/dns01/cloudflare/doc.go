// Package cloudflare changes records by Cloudflare's HTTP API, version 4, with an API
// token. The token needs Zone / Zone / Read and Zone / DNS / Edit on the zone, and
// should have no more.
//
// The zone is the longest of the token's active zones that holds the name. Records
// are matched by type, name and content, so that a change that was made already is
// success: an answer that got lost, or a start after a crash, does no harm.
//
// What it refuses to do: global API keys, redirects, and http to another machine: the
// token would go where it should not. Bodies, pages, tries and times are bounded.
//
// How to read it: provider.go are the changes, zone.go and record.go what they need
// of the API, api.go one request with its tries, failure.go what an error means.
package cloudflare
