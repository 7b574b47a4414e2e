package caa

import (
	"net/url"
	"slices"
	"strings"
)

// Identities are the names by which the authority behind an ACME directory goes in
// CAA records, the usual one first. What the directory itself says
// (meta.caaIdentities, RFC 8555 9.7.6) counts only for authorities that are not
// known here. None means that the authority has published none.
func Identities(directory string, meta []string) []string {
	if u, err := url.Parse(directory); err == nil {
		if known := knownIdentities(strings.ToLower(u.Hostname())); known != nil {
			return known
		}
	}
	var list []string
	for _, name := range meta {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if i, err := parseIssuer(name); err == nil && i.name == name && name != "" && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func knownIdentities(host string) []string {
	switch host {
	case "acme-v02.api.letsencrypt.org", "acme-staging-v02.api.letsencrypt.org":
		return []string{"letsencrypt.org"}
	case "acme.zerossl.com": // issues from Sectigo's roots, and has Sectigo's names
		return []string{"sectigo.com", "trust-provider.com", "usertrust.com", "comodoca.com", "comodo.com"}
	case "dv.acme-v02.api.pki.goog", "dv.acme-v02.test-api.pki.goog":
		return []string{"pki.goog"}
	case "api.buypass.com", "api.test4.buypass.no":
		return []string{"buypass.com", "buypass.no"}
	case "acme.ssl.com":
		return []string{"ssl.com"}
	}
	return nil
}
