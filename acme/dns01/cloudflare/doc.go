// Package cloudflare changes records by Cloudflare's HTTP API, version 4, with an API
// token. The token needs Zone / Zone / Read and Zone / DNS / Edit on the zone, and should
// have no other permission.
//
// The zone is the longest of the token's active zones that contains the name. Records are
// matched by type, name and content, so a change that was made already succeeds: a lost
// answer or a restart after a crash does no harm.
//
// The package uses no global API keys, follows no redirects, and sends nothing over http to
// another host, because the token would go where it should not. Bodies, pages, tries and
// times are bounded.
//
// Read provider.go for the changes, zone.go and record.go for what they need of the API,
// api.go for one request with its tries, and failure.go for the meaning of an error.
package cloudflare
