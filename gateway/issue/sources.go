package issue

import (
	"sallyport/certs"
	"sallyport/config"
)

// Sources returns where the domains' certificates come from.
func Sources(all []config.Domain) []certs.Source {
	var list []certs.Source
	for _, d := range all {
		s := certs.Source{Domain: d.Name, CertFile: d.Cert, KeyFile: d.Key}
		switch {
		case d.RATLS:
			s.From = "ratls"
		case d.ACME:
			s.From = "acme"
		}
		if d.Wildcard || !d.ACME {
			list = append(list, s)
		}
		if d.IncludeApex {
			s.Apex = true
			list = append(list, s)
		}
	}
	return list
}
