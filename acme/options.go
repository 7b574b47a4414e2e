package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"

	"sallyport/internal/hostname"
	"sallyport/internal/oneline"
)

// Options of a Manager. Funcs may be called concurrently, for different names.
type Options struct {
	// Domains are kept from the start. Reload changes them.
	Domains []Domain
	// CA is asked first, Fallback when it fails, if it has a directory.
	CA, Fallback Authority
	// Email is sent to the authorities, for their warnings. It may be empty.
	Email string

	// DNS01 solves dns-01, which a wildcard needs. Present, Wait (if it has one)
	// and CleanUp are called as acmez documents; after a restart Present may be
	// called again for a record that is there.
	DNS01 acmez.Solver
	// TLSALPN01 solves tls-alpn-01 for names without wildcard, if DNS01 is nil.
	// An *ALPNChallenges is one.
	TLSALPN01 acmez.Solver

	// Store keeps everything that must survive a restart, private keys too.
	Store Store
	// Node names this gateway among those that share the store, the same after each
	// restart: its own locks, left by a crash, do not hold it up. Default "gateway".
	Node string

	// RenewBefore is the remaining life at which a certificate is renewed; 0 is a
	// third of its whole life. An authority's own suggestion (ARI) goes before it.
	RenewBefore time.Duration
	// WarnBefore is the part of a certificate's life that remains when a failing
	// renewal becomes a warning. Default 1/3.
	WarnBefore float64
	// Check is how often the store and the authority's suggestion are looked at.
	// Default 10 min.
	Check time.Duration
	// Timeout bounds one try at all authorities together. Default 15 min.
	Timeout time.Duration

	// Preflight is called before each new order; its error is the try's.
	Preflight func(context.Context, Order) error
	// OnCertificate is called with each certificate that is to be served: the stored
	// one at the start, and each new one. cert.Leaf is set. It must not block, and
	// cert must not be changed. Required.
	OnCertificate func(domain string, names []string, cert *tls.Certificate)
	// Attest returns evidence that the thing is this machine's. It is called once
	// for each new key before its order, and for each account; if it fails it is
	// called again at the next Check. Without it there is no evidence.
	Attest func(context.Context, Subject) (Evidence, error)

	// Log gets what happens. certmagic's and acmez' own lines come with level
	// debug. Default slog.Default().
	Log *slog.Logger
}

// Domain is a base domain whose certificates are kept: *.Name.
type Domain struct {
	Name        string
	IncludeApex bool // Name as well, in a certificate of its own
	ApexOnly    bool // Name without the wildcard
}

// names are those of the domain's orders.
func (d Domain) names() []string {
	switch {
	case d.ApexOnly:
		return []string{d.Name}
	case d.IncludeApex:
		return []string{"*." + d.Name, d.Name}
	}
	return []string{"*." + d.Name}
}

// Authority is a certificate authority that speaks ACME.
type Authority struct {
	Directory string         // https URL
	Staging   string         // the directory for Rehearse; known for Let's Encrypt and Google
	Roots     *x509.CertPool // of its TLS; nil: the system's
	Profile   string         // "" is the authority's default
	EAB       EAB
}

// EAB is an external account binding, RFC 8555 7.3.4.
type EAB struct {
	KeyID  string
	MACKey string // base64url without padding
}

// LogValue keeps the key out of logs.
func (e EAB) LogValue() slog.Value { return slog.StringValue(e.String()) }

// String returns the id alone.
func (e EAB) String() string { return "eab " + e.KeyID }

// GoString keeps the key out of %#v.
func (e EAB) GoString() string { return e.String() }

// Order is one that is about to be made.
type Order struct {
	Name       string   // "*.example.com" or "example.com"
	Challenge  string   // "dns-01" or "tls-alpn-01"
	Directory  string   // the authority's
	Identities []string // what it calls itself in CAA records; empty if it does not say
	Account    string   // URI of the account
}

// Subject is a thing to be attested. Its report_data is SHA-512(Kind ‖ ":" ‖ Data).
type Subject struct {
	Kind string // SubjectCertificateKey or SubjectAccount
	Data []byte // the SPKI in DER, or the account's URI
}

// The kinds of Subject.
const (
	SubjectCertificateKey = "zt-cert"
	SubjectAccount        = "acme-account"
)

// Evidence is the answer of a quote source, as the published JSON shows it.
type Evidence struct {
	Quote       string `json:"quote,omitempty"`
	Attestation string `json:"attestation,omitempty"`
}

// maxNameLength keeps the keys of the store within their bound; a base domain has
// 60 bytes less than DNS allows anyway, for the app's label.
const maxNameLength = 170

func (o *Options) check() error {
	var problems []error
	for name, a := range map[string]Authority{"CA": o.CA, "fallback CA": o.Fallback} {
		if name != "CA" && a.Directory == "" {
			continue
		}
		if err := a.check(); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if o.Store == nil || o.OnCertificate == nil {
		problems = append(problems, errors.New("want a store and OnCertificate"))
	}
	if o.Fallback.Directory != "" && o.Fallback.Directory == o.CA.Directory {
		problems = append(problems, errors.New("fallback CA: has the directory of the first: want another"))
	}
	if o.WarnBefore < 0 || o.WarnBefore > 1 || o.RenewBefore < 0 {
		problems = append(problems, errors.New("want WarnBefore from 0 to 1 and RenewBefore not negative"))
	}
	return oneline.Join(append(problems, o.checkDomains(o.Domains))...)
}

func (a Authority) check() error {
	for _, dir := range []string{a.Directory, a.Staging} {
		u, err := url.Parse(dir)
		if dir == "" && a.Directory != "" {
			continue
		}
		if err != nil || u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("directory %q: want an https URL", dir)
		}
	}
	if (a.EAB.KeyID == "") != (a.EAB.MACKey == "") {
		return errors.New("external account binding: want both key id and MAC key")
	}
	return nil
}

func (o *Options) checkDomains(domains []Domain) error {
	var problems []error
	seen := map[string]bool{}
	for _, d := range domains {
		switch {
		case len(d.Name) > maxNameLength || d.Name != strings.ToLower(d.Name) || !hostname.Valid(d.Name):
			problems = append(problems, fmt.Errorf("domain %q: want a name in lower case ASCII, without \"*.\" and of at most %d bytes", d.Name, maxNameLength))
		case seen[d.Name]:
			problems = append(problems, fmt.Errorf("domain %s: is listed twice", d.Name))
		case o.DNS01 == nil && !d.ApexOnly:
			problems = append(problems, fmt.Errorf("domain %s: a wildcard needs dns-01: configure a DNS provider", d.Name))
		case o.DNS01 == nil && o.TLSALPN01 == nil:
			problems = append(problems, fmt.Errorf("domain %s: no challenge can be solved: configure a DNS provider or tls-alpn-01", d.Name))
		}
		seen[d.Name] = true
	}
	return oneline.Join(problems...)
}

func (o *Options) setDefaults() {
	if o.Node == "" {
		o.Node = "gateway"
	}
	if o.WarnBefore == 0 {
		o.WarnBefore = 1.0 / 3
	}
	if o.Check == 0 {
		o.Check = 10 * time.Minute
	}
	if o.Timeout == 0 {
		o.Timeout = 15 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}
