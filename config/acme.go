package config

import (
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/internal/hostname"
)

// The section [acme]: certificates that the gateway gets and renews itself, for the
// domains with acme = true. What proves control of them, [acme] dns and its tables,
// is in acmedns.go.
//
// Secrets are in files of their own, never here: a configuration is shown around.

// ACME says from whom certificates come.
type ACME struct {
	// Authority is asked first. Directory is by default Let's Encrypt's.
	Authority
	// Fallback is asked when it fails. Default none.
	Fallback Authority `toml:"fallback"`
	// Email is sent to both authorities, which may use it for warnings. Default none.
	Email string `toml:"email"`
	// RenewBefore is the remaining life at which a certificate is renewed, unless the
	// authority suggests a time (ARI). Default 0: a third of its whole life.
	RenewBefore time.Duration `toml:"renew_before"`
	// CAA has the CAA records looked at before each order, and with DNS "embedded"
	// such records published as let only this gateway's account issue. Default true.
	CAA bool `toml:"caa"`

	// DNS is how control of a domain is proved by DNS, which a wildcard needs. Default
	// "": not at all.
	DNS DNSSolver `toml:"dns"`
	// Resolvers are the recursive resolvers to ask about domains, IP:port, at most 8.
	// Default the nameservers of /etc/resolv.conf.
	Resolvers []netip.AddrPort `toml:"resolvers"`
	// PropagationTimeout is for all nameservers of a zone to have a new record. Default
	// 5m. Nothing to DNS "embedded".
	PropagationTimeout time.Duration `toml:"propagation_timeout"`
	// Nameservers are asked whether they have it in place of those in the zone's NS
	// records, IP:port, at most 8. Default none.
	Nameservers []netip.AddrPort `toml:"propagation_nameservers"`

	RFC2136    RFC2136    `toml:"rfc2136"`
	Cloudflare Cloudflare `toml:"cloudflare"`
	Exec       Exec       `toml:"exec"`
	Embedded   Embedded   `toml:"embedded"`
}

// Authority is a certificate authority that speaks ACME.
type Authority struct {
	// Directory is its https URL; nil: there is none.
	Directory *url.URL `toml:"directory"`
	// Staging is the directory of its test side, for `gateway acme test`. Default what
	// is known for Let's Encrypt and Google.
	Staging *url.URL `toml:"staging"`
	// Roots is the PEM file of roots for the directory's own certificate. Default "":
	// the system's.
	Roots string `toml:"roots"`
	// Profile is a kind of certificate that the authority offers. Default "": its own
	// default.
	Profile string `toml:"profile"`
	// EABKeyID and EABKeyFile are of the external account binding that some authorities
	// want; the file holds the key in base64url. Default none.
	EABKeyID   string `toml:"eab_key_id"`
	EABKeyFile string `toml:"eab_key_file"`
}

const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// maxACMEName is the longest domain of acme = true: it is a part of keys in the store.
const maxACMEName = 170

func readACME(t table, path func(string) (string, error)) ACME {
	a := ACME{
		Authority:          readAuthority(t, letsEncrypt, path),
		Email:              optional(t, "email", orNone(parseEmail)),
		RenewBefore:        text(t, "renew_before", "0s", parseDurationOrNever),
		CAA:                t.flag("caa", true),
		DNS:                text(t, "dns", "", parseDNSSolver),
		Resolvers:          list(t, "resolvers", nil, parseResolver),
		PropagationTimeout: t.duration("propagation_timeout", "5m"),
		Nameservers:        list(t, "propagation_nameservers", nil, parseResolver),
		RFC2136:            readRFC2136(t.sub("rfc2136"), path),
		Cloudflare:         readCloudflare(t.sub("cloudflare"), path),
		Exec:               readExec(t.sub("exec"), path),
		Embedded:           readEmbedded(t.sub("embedded")),
	}
	for key, list := range map[string][]netip.AddrPort{"resolvers": a.Resolvers, "propagation_nameservers": a.Nameservers} {
		if n := len(list); n > maxResolvers {
			t.fail(key, "has %d members: want at most %d", n, maxResolvers)
		}
	}
	second := t.sub("fallback")
	a.Fallback = readAuthority(second, "", path)
	switch {
	case a.Fallback == (Authority{}):
	case a.Fallback.Directory == nil && second.empty("directory"):
		second.fail("directory", "is missing: want the https URL of the second authority's directory")
	case a.Directory != nil && a.Fallback.Directory != nil && *a.Directory == *a.Fallback.Directory:
		second.fail("directory", "is the same as [acme] directory: want another authority, or none")
	}
	return a
}

func readAuthority(t table, directory string, path func(string) (string, error)) Authority {
	a := Authority{
		Directory:  text(t, "directory", directory, orNone(parseDirectory)),
		Staging:    optional(t, "staging", orNone(parseDirectory)),
		Roots:      optional(t, "roots", orNone(path)),
		Profile:    optional(t, "profile", orNone(parseProfile)),
		EABKeyID:   optional(t, "eab_key_id", orNone(parseWord)),
		EABKeyFile: optional(t, "eab_key_file", orNone(path)),
	}
	if directory != "" && a.Directory == nil && t.empty("directory") {
		t.fail("directory", "is empty: leave it out for Let's Encrypt")
	}
	if t.empty("eab_key_id") != t.empty("eab_key_file") {
		key, other := "eab_key_id", "eab_key_file"
		if t.empty(key) {
			key, other = other, key
		}
		t.fail(key, "needs %s too: the authority issues both", other)
	}
	return a
}

// complete checks the keys that the domains need, and derives values from other
// sections. Where no domain has acme = true, nothing is needed.
func (a *ACME) complete(t table, c *Config) {
	if !slices.ContainsFunc(c.Domains, func(d Domain) bool { return d.ACME }) {
		return
	}
	switch a.DNS {
	case DNSRFC2136:
		a.RFC2136.require(t.sub("rfc2136"))
	case DNSCloudflare:
		a.Cloudflare.require(t.sub("cloudflare"))
	case DNSExec:
		a.Exec.require(t.sub("exec"))
	case DNSEmbedded:
		a.Embedded.complete(t.sub("embedded"), c)
	}
}

// readIssued reads of a domain with acme = true which certificates it gets.
func readIssued(t table, d *Domain, solver DNSSolver) {
	if len(d.Name) > maxACMEName {
		t.fail("name", "has %d bytes, too many for acme: want at most %d", len(d.Name), maxACMEName)
	}
	if !d.Wildcard && t.has("include_apex") && !d.IncludeApex {
		t.fail("wildcard", "and include_apex = false leave no name for a certificate: want one of the two")
	}
	if !d.Wildcard {
		d.IncludeApex = true
	}
	if d.Wildcard && solver == "" {
		t.fail("acme", "a certificate for *.%s needs a proof by DNS: set [acme] dns to one of %s; "+
			"or set wildcard = false for %s alone, which is proved on port 443", d.Name, dnsSolverWords(), d.Name)
	}
}

// readWhich reads the keys that choose the names of a certificate; they are acme's.
func readWhich(t table, d *Domain) {
	d.IncludeApex = t.flag("include_apex", false)
	d.Wildcard = t.flag("wildcard", true)
	if d.ACME {
		return
	}
	if d.IncludeApex {
		t.fail("include_apex", "needs acme = true: other certificates are always for *.%s", d.Name)
	}
	if n := t.get("wildcard"); n != nil && n.text == "false" {
		t.fail("wildcard", "needs acme = true: other certificates are always for *.%s", d.Name)
	}
	d.IncludeApex, d.Wildcard = false, true
}

func parseDirectory(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil || u.Scheme != "https" {
		return nil, fmt.Errorf("%s is not an ACME directory: want an https URL, such as %q", show(s), letsEncrypt)
	}
	return u, nil
}

// parseEmail reads a plain address: it becomes a mailto URL.
func parseEmail(s string) (string, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || strings.ContainsAny(s, " ?%\"<>") || len(s) > 254 {
		return "", fmt.Errorf("%s is not an e-mail address: want one such as \"admin@example.com\"", show(s))
	}
	return s, nil
}

func parseProfile(s string) (string, error) {
	if len(s) > hostname.MaxLabel || strings.IndexFunc(s, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
		return "", fmt.Errorf("%s is not a profile: want a word from the authority's documentation, such as \"shortlived\"", show(s))
	}
	return s, nil
}

// parseWord reads a text that another party chose, without spaces.
func parseWord(s string) (string, error) {
	if len(s) > hostname.MaxLength || strings.IndexFunc(s, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
		return "", fmt.Errorf("%s: want printable ASCII without spaces, up to %d bytes", show(s), hostname.MaxLength)
	}
	return s, nil
}

// absolute is a parser of the paths of programs. A name without a slash is refused: it
// would be looked up in PATH.
func absolute(path func(string) (string, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		if !filepath.IsAbs(s) && !strings.Contains(s, "/") {
			return "", fmt.Errorf("%s: want the path of the program, such as \"/usr/local/bin/dns-hook\"", show(s))
		}
		return path(s)
	}
}
