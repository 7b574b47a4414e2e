package gateway

import (
	"fmt"

	"sallyport/acme"
	"sallyport/admin"
	"sallyport/certs"
	"sallyport/gateway/issue"
	"sallyport/internal/oneline"
)

// certified returns why certificates cannot be served, with what the authority says, or
// nil. i is nil without an authority.
func certified(index *certs.Index, i *issue.Issuer) error {
	err := index.Ready()
	if err == nil || i == nil {
		return err
	}
	for _, s := range i.Status() {
		if s.LastError != "" && s.NotAfter.IsZero() {
			err = oneline.Join(err, fmt.Errorf("%s: %s; next try %s", s.Name, s.LastError, s.NextTry.UTC().Format("15:04:05 MST")))
		}
	}
	return err
}

// certificates returns what is served, and what the issuer does about it. i is nil without
// an authority.
func certificates(index *certs.Index, i *issue.Issuer) []admin.Certificate {
	issued := map[string]acme.Status{}
	if i != nil {
		for _, s := range i.Status() {
			issued[s.Name] = s
		}
	}
	var all []admin.Certificate
	for _, c := range index.Status() {
		row := admin.Certificate{Domain: c.Domain, Name: "*." + c.Domain, NotAfter: c.NotAfter, Serial: c.Serial, Issuer: c.Issuer}
		if c.Apex {
			row.Name = c.Domain
		}
		if s, ok := issued[row.Name]; ok {
			row.NextTry, row.LastError, row.FailedAt, row.Failures = s.NextTry, s.LastError, s.FailedAt, s.Failures
		}
		all = append(all, row)
	}
	return all
}
